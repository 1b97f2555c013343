/* wire/oip_messages.c - inference.GRPCInferenceService as const tables: names, numbers and types of
 * every field.  The inference messages stand here for reflection only; their codec is written by
 * hand (oip_grpc_*.c). */
#include "wire/oip_messages.h"

#include "conf/model_schema.h"

/* A field: label and type; of another message; of a oneof. */
#define FIELD(name, number, label, type)                                                         \
    {                                                                                            \
        name, number, TRP_FIELD_##type, TRP_FIELD_##label, NULL, NULL, NULL, NULL, TRP_USE_ACTS, \
            NULL                                                                                 \
    }
#define OF(name, number, label, message)                                                \
    {                                                                                   \
        name, number, TRP_FIELD_MESSAGE, TRP_FIELD_##label, &message, NULL, NULL, NULL, \
            TRP_USE_ACTS, NULL                                                          \
    }
#define CHOICE(name, number, type)                                                           \
    {                                                                                        \
        name, number, TRP_FIELD_##type, TRP_FIELD_ONE, NULL, NULL, "parameter_choice", NULL, \
            TRP_USE_ACTS, NULL                                                               \
    }
/* A message, declared with its fields; one without any. */
#define MESSAGE(id, full_name, ...)                                             \
    static const struct trp_field id##_fields[] = { __VA_ARGS__ };              \
    static const struct trp_message id = { "inference." full_name, id##_fields, \
                                           ARRAY_LEN(id##_fields) }
#define EMPTY(id, full_name) \
    static const struct trp_message id = { "inference." full_name, NULL, 0 }

EMPTY(server_live_request, "ServerLiveRequest");
MESSAGE(server_live_reply, "ServerLiveResponse", FIELD("live", 1, ONE, BOOL));
EMPTY(server_ready_request, "ServerReadyRequest");
MESSAGE(server_ready_reply, "ServerReadyResponse", FIELD("ready", 1, ONE, BOOL));
MESSAGE(model_ready_request, "ModelReadyRequest", FIELD("name", 1, ONE, STRING),
        FIELD("version", 2, ONE, STRING));
MESSAGE(model_ready_reply, "ModelReadyResponse", FIELD("ready", 1, ONE, BOOL));

EMPTY(server_metadata_request, "ServerMetadataRequest");
MESSAGE(server_metadata_reply, "ServerMetadataResponse", FIELD("name", 1, ONE, STRING),
        FIELD("version", 2, ONE, STRING), FIELD("extensions", 3, MANY, STRING));
MESSAGE(model_metadata_request, "ModelMetadataRequest", FIELD("name", 1, ONE, STRING),
        FIELD("version", 2, ONE, STRING));
MESSAGE(tensor_metadata, "ModelMetadataResponse.TensorMetadata", FIELD("name", 1, ONE, STRING),
        FIELD("datatype", 2, ONE, STRING), FIELD("shape", 3, MANY, INT64));
MESSAGE(model_metadata_reply, "ModelMetadataResponse", FIELD("name", 1, ONE, STRING),
        FIELD("versions", 2, MANY, STRING), FIELD("platform", 3, ONE, STRING),
        OF("inputs", 4, MANY, tensor_metadata), OF("outputs", 5, MANY, tensor_metadata));

MESSAGE(infer_parameter, "InferParameter", CHOICE("bool_param", 1, BOOL),
        CHOICE("int64_param", 2, INT64), CHOICE("string_param", 3, STRING),
        CHOICE("double_param", 4, DOUBLE), CHOICE("uint64_param", 5, UINT64));
MESSAGE(tensor_contents, "InferTensorContents", FIELD("bool_contents", 1, MANY, BOOL),
        FIELD("int_contents", 2, MANY, INT32), FIELD("int64_contents", 3, MANY, INT64),
        FIELD("uint_contents", 4, MANY, UINT32), FIELD("uint64_contents", 5, MANY, UINT64),
        FIELD("fp32_contents", 6, MANY, FLOAT), FIELD("fp64_contents", 7, MANY, DOUBLE),
        FIELD("bytes_contents", 8, MANY, BYTES));
MESSAGE(infer_input, "ModelInferRequest.InferInputTensor", FIELD("name", 1, ONE, STRING),
        FIELD("datatype", 2, ONE, STRING), FIELD("shape", 3, MANY, INT64),
        OF("parameters", 4, MAP_STRING, infer_parameter), OF("contents", 5, ONE, tensor_contents));
MESSAGE(infer_requested_output, "ModelInferRequest.InferRequestedOutputTensor",
        FIELD("name", 1, ONE, STRING), OF("parameters", 2, MAP_STRING, infer_parameter));
MESSAGE(infer_request, "ModelInferRequest", FIELD("model_name", 1, ONE, STRING),
        FIELD("model_version", 2, ONE, STRING), FIELD("id", 3, ONE, STRING),
        OF("parameters", 4, MAP_STRING, infer_parameter), OF("inputs", 5, MANY, infer_input),
        OF("outputs", 6, MANY, infer_requested_output),
        FIELD("raw_input_contents", 7, MANY, BYTES));
MESSAGE(infer_output, "ModelInferResponse.InferOutputTensor", FIELD("name", 1, ONE, STRING),
        FIELD("datatype", 2, ONE, STRING), FIELD("shape", 3, MANY, INT64),
        OF("parameters", 4, MAP_STRING, infer_parameter), OF("contents", 5, ONE, tensor_contents));
MESSAGE(infer_reply, "ModelInferResponse", FIELD("model_name", 1, ONE, STRING),
        FIELD("model_version", 2, ONE, STRING), FIELD("id", 3, ONE, STRING),
        OF("parameters", 4, MAP_STRING, infer_parameter), OF("outputs", 5, MANY, infer_output),
        FIELD("raw_output_contents", 6, MANY, BYTES));
MESSAGE(infer_stream_reply, "ModelStreamInferResponse", FIELD("error_message", 1, ONE, STRING),
        OF("infer_response", 2, ONE, infer_reply));

MESSAGE(model_config_request, "ModelConfigRequest", FIELD("name", 1, ONE, STRING),
        FIELD("version", 2, ONE, STRING));
MESSAGE(model_config_reply, "ModelConfigResponse", OF("config", 1, ONE, trp_model_config_message));

MESSAGE(model_statistics_request, "ModelStatisticsRequest", FIELD("name", 1, ONE, STRING),
        FIELD("version", 2, ONE, STRING));
MESSAGE(duration, "StatisticDuration", FIELD("count", 1, ONE, UINT64), FIELD("ns", 2, ONE, UINT64));
MESSAGE(infer_statistics, "InferStatistics", OF("success", 1, ONE, duration),
        OF("fail", 2, ONE, duration), OF("queue", 3, ONE, duration),
        OF("compute_input", 4, ONE, duration), OF("compute_infer", 5, ONE, duration),
        OF("compute_output", 6, ONE, duration), OF("cache_hit", 7, ONE, duration),
        OF("cache_miss", 8, ONE, duration));
MESSAGE(response_statistics, "InferResponseStatistics", OF("compute_infer", 1, ONE, duration),
        OF("compute_output", 2, ONE, duration), OF("success", 3, ONE, duration),
        OF("fail", 4, ONE, duration), OF("empty_response", 5, ONE, duration),
        OF("cancel", 6, ONE, duration));
MESSAGE(batch_statistics, "InferBatchStatistics", FIELD("batch_size", 1, ONE, UINT64),
        OF("compute_input", 2, ONE, duration), OF("compute_infer", 3, ONE, duration),
        OF("compute_output", 4, ONE, duration));
MESSAGE(memory_usage, "MemoryUsage", FIELD("type", 1, ONE, STRING), FIELD("id", 2, ONE, INT64),
        FIELD("byte_size", 3, ONE, UINT64));
MESSAGE(model_statistics, "ModelStatistics", FIELD("name", 1, ONE, STRING),
        FIELD("version", 2, ONE, STRING), FIELD("last_inference", 3, ONE, UINT64),
        FIELD("inference_count", 4, ONE, UINT64), FIELD("execution_count", 5, ONE, UINT64),
        OF("inference_stats", 6, ONE, infer_statistics),
        OF("batch_stats", 7, MANY, batch_statistics), OF("memory_usage", 8, MANY, memory_usage),
        OF("response_stats", 9, MAP_STRING, response_statistics));
MESSAGE(model_statistics_reply, "ModelStatisticsResponse",
        OF("model_stats", 1, MANY, model_statistics));

MESSAGE(repository_parameter, "ModelRepositoryParameter", CHOICE("bool_param", 1, BOOL),
        CHOICE("int64_param", 2, INT64), CHOICE("string_param", 3, STRING),
        CHOICE("bytes_param", 4, BYTES));
MESSAGE(index_request, "RepositoryIndexRequest", FIELD("repository_name", 1, ONE, STRING),
        FIELD("ready", 2, ONE, BOOL));
MESSAGE(model_index, "RepositoryIndexResponse.ModelIndex", FIELD("name", 1, ONE, STRING),
        FIELD("version", 2, ONE, STRING), FIELD("state", 3, ONE, STRING),
        FIELD("reason", 4, ONE, STRING));
MESSAGE(index_reply, "RepositoryIndexResponse", OF("models", 1, MANY, model_index));
MESSAGE(load_request, "RepositoryModelLoadRequest", FIELD("repository_name", 1, ONE, STRING),
        FIELD("model_name", 2, ONE, STRING), OF("parameters", 3, MAP_STRING, repository_parameter));
EMPTY(load_reply, "RepositoryModelLoadResponse");
MESSAGE(unload_request, "RepositoryModelUnloadRequest", FIELD("repository_name", 1, ONE, STRING),
        FIELD("model_name", 2, ONE, STRING), OF("parameters", 3, MAP_STRING, repository_parameter));
EMPTY(unload_reply, "RepositoryModelUnloadResponse");

MESSAGE(shm_status_request, "SystemSharedMemoryStatusRequest", FIELD("name", 1, ONE, STRING));
MESSAGE(shm_region, "SystemSharedMemoryStatusResponse.RegionStatus", FIELD("name", 1, ONE, STRING),
        FIELD("key", 2, ONE, STRING), FIELD("offset", 3, ONE, UINT64),
        FIELD("byte_size", 4, ONE, UINT64));
MESSAGE(shm_status_reply, "SystemSharedMemoryStatusResponse",
        OF("regions", 1, MAP_STRING, shm_region));
MESSAGE(shm_register_request, "SystemSharedMemoryRegisterRequest", FIELD("name", 1, ONE, STRING),
        FIELD("key", 2, ONE, STRING), FIELD("offset", 3, ONE, UINT64),
        FIELD("byte_size", 4, ONE, UINT64));
EMPTY(shm_register_reply, "SystemSharedMemoryRegisterResponse");
MESSAGE(shm_unregister_request, "SystemSharedMemoryUnregisterRequest",
        FIELD("name", 1, ONE, STRING));
EMPTY(shm_unregister_reply, "SystemSharedMemoryUnregisterResponse");
MESSAGE(cuda_status_request, "CudaSharedMemoryStatusRequest", FIELD("name", 1, ONE, STRING));
MESSAGE(cuda_region, "CudaSharedMemoryStatusResponse.RegionStatus", FIELD("name", 1, ONE, STRING),
        FIELD("device_id", 2, ONE, UINT64), FIELD("byte_size", 3, ONE, UINT64));
MESSAGE(cuda_status_reply, "CudaSharedMemoryStatusResponse",
        OF("regions", 1, MAP_STRING, cuda_region));
MESSAGE(cuda_register_request, "CudaSharedMemoryRegisterRequest", FIELD("name", 1, ONE, STRING),
        FIELD("raw_handle", 2, ONE, BYTES), FIELD("device_id", 3, ONE, INT64),
        FIELD("byte_size", 4, ONE, UINT64));
EMPTY(cuda_register_reply, "CudaSharedMemoryRegisterResponse");
MESSAGE(cuda_unregister_request, "CudaSharedMemoryUnregisterRequest",
        FIELD("name", 1, ONE, STRING));
EMPTY(cuda_unregister_reply, "CudaSharedMemoryUnregisterResponse");

MESSAGE(trace_value, "TraceSettingRequest.SettingValue", FIELD("value", 1, MANY, STRING));
MESSAGE(trace_request, "TraceSettingRequest", OF("settings", 1, MAP_STRING, trace_value),
        FIELD("model_name", 2, ONE, STRING));
MESSAGE(trace_reply_value, "TraceSettingResponse.SettingValue", FIELD("value", 1, MANY, STRING));
MESSAGE(trace_reply, "TraceSettingResponse", OF("settings", 1, MAP_STRING, trace_reply_value));
MESSAGE(log_value, "LogSettingsRequest.SettingValue", CHOICE("bool_param", 1, BOOL),
        CHOICE("uint32_param", 2, UINT32), CHOICE("string_param", 3, STRING));
MESSAGE(log_request, "LogSettingsRequest", OF("settings", 1, MAP_STRING, log_value));
MESSAGE(log_reply_value, "LogSettingsResponse.SettingValue", CHOICE("bool_param", 1, BOOL),
        CHOICE("uint32_param", 2, UINT32), CHOICE("string_param", 3, STRING));
MESSAGE(log_reply, "LogSettingsResponse", OF("settings", 1, MAP_STRING, log_reply_value));

/* clang-format off */
static const struct trp_method methods[] = {
    { "ServerLive", &server_live_request, &server_live_reply, false, false },
    { "ServerReady", &server_ready_request, &server_ready_reply, false, false },
    { "ModelReady", &model_ready_request, &model_ready_reply, false, false },
    { "ServerMetadata", &server_metadata_request, &server_metadata_reply, false, false },
    { "ModelMetadata", &model_metadata_request, &model_metadata_reply, false, false },
    { "ModelInfer", &infer_request, &infer_reply, false, false },
    { "ModelStreamInfer", &infer_request, &infer_stream_reply, true, true },
    { "ModelConfig", &model_config_request, &model_config_reply, false, false },
    { "ModelStatistics", &model_statistics_request, &model_statistics_reply, false, false },
    { "RepositoryIndex", &index_request, &index_reply, false, false },
    { "RepositoryModelLoad", &load_request, &load_reply, false, false },
    { "RepositoryModelUnload", &unload_request, &unload_reply, false, false },
    { "SystemSharedMemoryStatus", &shm_status_request, &shm_status_reply, false, false },
    { "SystemSharedMemoryRegister", &shm_register_request, &shm_register_reply, false, false },
    { "SystemSharedMemoryUnregister", &shm_unregister_request, &shm_unregister_reply, false,
      false },
    { "CudaSharedMemoryStatus", &cuda_status_request, &cuda_status_reply, false, false },
    { "CudaSharedMemoryRegister", &cuda_register_request, &cuda_register_reply, false, false },
    { "CudaSharedMemoryUnregister", &cuda_unregister_request, &cuda_unregister_reply, false,
      false },
    { "TraceSetting", &trace_request, &trace_reply, false, false },
    { "LogSettings", &log_request, &log_reply, false, false },
};
static const struct trp_service service = {
    "inference.GRPCInferenceService", methods, ARRAY_LEN(methods),
};

static const struct trp_message *const messages[] = {
    &server_live_request, &server_live_reply, &server_ready_request, &server_ready_reply,
    &model_ready_request, &model_ready_reply, &server_metadata_request, &server_metadata_reply,
    &model_metadata_request, &model_metadata_reply, &tensor_metadata, &infer_parameter,
    &tensor_contents, &infer_request, &infer_input, &infer_requested_output, &infer_reply,
    &infer_output, &infer_stream_reply, &model_config_request, &model_config_reply,
    &model_statistics_request, &duration, &infer_statistics, &response_statistics,
    &batch_statistics, &memory_usage, &model_statistics, &model_statistics_reply,
    &repository_parameter, &index_request, &index_reply, &model_index, &load_request, &load_reply,
    &unload_request, &unload_reply, &shm_status_request, &shm_status_reply, &shm_region,
    &shm_register_request, &shm_register_reply, &shm_unregister_request, &shm_unregister_reply,
    &cuda_status_request, &cuda_status_reply, &cuda_region, &cuda_register_request,
    &cuda_register_reply, &cuda_unregister_request, &cuda_unregister_reply, &trace_request,
    &trace_value, &trace_reply, &trace_reply_value, &log_request, &log_value, &log_reply,
    &log_reply_value,
};

static const struct {
    const struct trp_message *request, *reply;
} by_op[TRP_CONTROLS] = {
    [TRP_CONTROL_SERVER_LIVE] = { &server_live_request, &server_live_reply },
    [TRP_CONTROL_SERVER_READY] = { &server_ready_request, &server_ready_reply },
    [TRP_CONTROL_SERVER_METADATA] = { &server_metadata_request, &server_metadata_reply },
    [TRP_CONTROL_MODEL_READY] = { &model_ready_request, &model_ready_reply },
    [TRP_CONTROL_MODEL_METADATA] = { &model_metadata_request, &model_metadata_reply },
    [TRP_CONTROL_MODEL_CONFIG] = { &model_config_request, &model_config_reply },
    [TRP_CONTROL_MODEL_STATISTICS] = { &model_statistics_request, &model_statistics_reply },
    [TRP_CONTROL_REPOSITORY_INDEX] = { &index_request, &index_reply },
    [TRP_CONTROL_MODEL_LOAD] = { &load_request, &load_reply },
    [TRP_CONTROL_MODEL_UNLOAD] = { &unload_request, &unload_reply },
    [TRP_CONTROL_SHM_STATUS] = { &shm_status_request, &shm_status_reply },
    [TRP_CONTROL_SHM_REGISTER] = { &shm_register_request, &shm_register_reply },
    [TRP_CONTROL_SHM_UNREGISTER] = { &shm_unregister_request, &shm_unregister_reply },
    [TRP_CONTROL_CUDA_SHM_STATUS] = { &cuda_status_request, &cuda_status_reply },
    [TRP_CONTROL_CUDA_SHM_REGISTER] = { &cuda_register_request, &cuda_register_reply },
    [TRP_CONTROL_CUDA_SHM_UNREGISTER] = { &cuda_unregister_request, &cuda_unregister_reply },
    [TRP_CONTROL_TRACE_GET] = { &trace_request, &trace_reply },
    [TRP_CONTROL_TRACE_SET] = { &trace_request, &trace_reply },
    [TRP_CONTROL_LOG_GET] = { &log_request, &log_reply },
    [TRP_CONTROL_LOG_SET] = { &log_request, &log_reply },
};
/* clang-format on */

const struct trp_message *trp_oip_request_message(enum trp_control_op op)
{
    return by_op[op].request;
}

const struct trp_message *trp_oip_reply_message(enum trp_control_op op)
{
    return by_op[op].reply;
}

trp_status trp_oip_proto_file(struct trp_arena *arena, struct trp_proto_file *out,
                              struct trp_error *err)
{
    const uint32_t own_n = ARRAY_LEN(messages), n = own_n + trp_model_config_messages_n;
    const size_t each = sizeof(void *); /* a table of pointers */
    const struct trp_message **all = trp_arena_get(arena, n * each);
    if (!all)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "reflection: out of memory");
    memcpy(all, messages, sizeof messages);
    memcpy(all + own_n, trp_model_config_messages, (n - own_n) * each);
    *out = (struct trp_proto_file){ .name = "grpc_service.proto",
                                    .package = "inference",
                                    .messages = all,
                                    .messages_n = n,
                                    .enums = trp_model_config_enums,
                                    .enums_n = trp_model_config_enums_n,
                                    .service = &service };
    return trp_ok();
}
