/* conf/model_schema.c - see model_schema.h.
 *
 * The tables below mirror Triton's inference.ModelConfig (model_config.proto, release 26.07), name
 * by name and number by number, so that its configurations open unchanged and its clients read
 * ours.  Each row also says what this server does with the key and what the key means;
 * docs/models.md is written from the same rows, and a test compares them. */
#include "conf/model_schema.h"

#include "base/buf.h"

#define NODES_MAX 100000u
#define JSON_DEPTH_MAX 64u

#define VALUE(type, label, name, number, use, doc)                                                \
    {                                                                                             \
        name, number, TRP_FIELD_##type, TRP_FIELD_##label, NULL, NULL, NULL, NULL, TRP_USE_##use, \
            doc                                                                                   \
    }
#define CHOICE(of, label, name, number, use, doc)                                                \
    {                                                                                            \
        name, number, TRP_FIELD_ENUM, TRP_FIELD_##label, NULL, &(of), NULL, NULL, TRP_USE_##use, \
            doc                                                                                  \
    }
#define MESSAGE(of, label, name, number, use, doc)                                   \
    {                                                                                \
        name, number, TRP_FIELD_MESSAGE, TRP_FIELD_##label, &(of), NULL, NULL, NULL, \
            TRP_USE_##use, doc                                                       \
    }
#define MEMBER(of, oneof, name, number, use, doc) /* a message of a oneof */                     \
    {                                                                                            \
        name, number, TRP_FIELD_MESSAGE, TRP_FIELD_ONE, &(of), NULL, oneof, NULL, TRP_USE_##use, \
            doc                                                                                  \
    }
#define MEMBER_VALUE(type, oneof, name, number, use, doc) /* a scalar of a oneof */                \
    {                                                                                              \
        name, number, TRP_FIELD_##type, TRP_FIELD_ONE, NULL, NULL, oneof, NULL, TRP_USE_##use, doc \
    }
#define FIELDS(id) static const struct trp_field id##_fields[]
#define TYPE(id, name) \
    static const struct trp_message id = { "inference." name, id##_fields, ARRAY_LEN(id##_fields) }
#define VALUES(id) static const struct trp_enum_value id##_values[]
#define ENUM(id, name) \
    static const struct trp_enum id = { "inference." name, id##_values, ARRAY_LEN(id##_values) }

/* ---- enums ---- */

VALUES(data_type) = {
    { "TYPE_INVALID", 0 }, { "TYPE_BOOL", 1 },    { "TYPE_UINT8", 2 }, { "TYPE_UINT16", 3 },
    { "TYPE_UINT32", 4 },  { "TYPE_UINT64", 5 },  { "TYPE_INT8", 6 },  { "TYPE_INT16", 7 },
    { "TYPE_INT32", 8 },   { "TYPE_INT64", 9 },   { "TYPE_FP16", 10 }, { "TYPE_FP32", 11 },
    { "TYPE_FP64", 12 },   { "TYPE_STRING", 13 }, { "TYPE_BF16", 14 },
};
ENUM(data_type, "DataType");

VALUES(instance_kind) = {
    { "KIND_AUTO", 0 }, { "KIND_GPU", 1 }, { "KIND_CPU", 2 }, { "KIND_MODEL", 3 }
};
ENUM(instance_kind, "ModelInstanceGroup.Kind");

VALUES(secondary_kind) = { { "KIND_NVDLA", 0 } };
ENUM(secondary_kind, "ModelInstanceGroup.SecondaryDevice.SecondaryDeviceKind");

VALUES(input_format) = { { "FORMAT_NONE", 0 }, { "FORMAT_NHWC", 1 }, { "FORMAT_NCHW", 2 } };
ENUM(input_format, "ModelInput.Format");

VALUES(batch_input_kind) = {
    { "BATCH_ELEMENT_COUNT", 0 },
    { "BATCH_ACCUMULATED_ELEMENT_COUNT", 1 },
    { "BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO", 2 },
    { "BATCH_MAX_ELEMENT_COUNT_AS_SHAPE", 3 },
    { "BATCH_ITEM_SHAPE", 4 },
    { "BATCH_ITEM_SHAPE_FLATTEN", 5 },
};
ENUM(batch_input_kind, "BatchInput.Kind");

VALUES(batch_output_kind) = { { "BATCH_SCATTER_WITH_INPUT_SHAPE", 0 } };
ENUM(batch_output_kind, "BatchOutput.Kind");

VALUES(model_priority) = { { "PRIORITY_DEFAULT", 0 },
                           { "PRIORITY_MAX", 1 },
                           { "PRIORITY_MIN", 2 } };
ENUM(model_priority, "ModelOptimizationPolicy.ModelPriority");

VALUES(timeout_action) = { { "REJECT", 0 }, { "DELAY", 1 } };
ENUM(timeout_action, "ModelQueuePolicy.TimeoutAction");

VALUES(control_kind) = {
    { "CONTROL_SEQUENCE_START", 0 },
    { "CONTROL_SEQUENCE_READY", 1 },
    { "CONTROL_SEQUENCE_END", 2 },
    { "CONTROL_SEQUENCE_CORRID", 3 },
};
ENUM(control_kind, "ModelSequenceBatching.Control.Kind");

/* Ours: in the order of enum trp_batching, 0 being "not written". */
VALUES(batching) = { { "default", 0 }, { "auto", 1 }, { "on", 2 }, { "off", 3 } };
static const struct trp_enum batching = { "troupe.Batching", batching_values,
                                          ARRAY_LEN(batching_values) };

/* Ours: in the order of enum trp_isolation_wish, 0 being "not written". */
VALUES(isolation) = { { "default", 0 }, { "auto", 1 }, { "none", 2 }, { "process", 3 } };
static const struct trp_enum isolation = { "troupe.Isolation", isolation_values,
                                           ARRAY_LEN(isolation_values) };

/* Ours: in the order of enum trp_hint, 0 being "not written". */
VALUES(hint) = { { "default", 0 }, { "latency", 1 }, { "throughput", 2 } };
static const struct trp_enum hint = { "troupe.Hint", hint_values, ARRAY_LEN(hint_values) };

/* Ours: in the order of enum trp_load_policy, 0 being "not written". */
VALUES(load_policy) = {
    { "default", 0 }, { "startup", 1 }, { "explicit", 2 }, { "on_demand", 3 }, { "background", 4 }
};
static const struct trp_enum load_policy = { "troupe.LoadPolicy", load_policy_values,
                                             ARRAY_LEN(load_policy_values) };

/* ---- which versions ---- */

FIELDS(latest) = {
    VALUE(UINT32, ONE, "num_versions", 1, ACTS, "How many of the highest; 0 or absent: 1."),
};
TYPE(latest, "ModelVersionPolicy.Latest");

static const struct trp_message all_versions = { "inference.ModelVersionPolicy.All", NULL, 0 };

FIELDS(specific) = {
    VALUE(INT64, MANY, "versions", 1, ACTS, "The numbers of the versions to serve."),
};
TYPE(specific, "ModelVersionPolicy.Specific");

FIELDS(version_policy) = {
    MEMBER(latest, "policy_choice", "latest", 1, ACTS, "Serve the highest versions."),
    MEMBER(all_versions, "policy_choice", "all", 2, ACTS, "Serve every version."),
    MEMBER(specific, "policy_choice", "specific", 3, ACTS, "Serve these versions."),
};
TYPE(version_policy, "ModelVersionPolicy");

/* ---- inputs and outputs ---- */

FIELDS(reshape) = {
    VALUE(INT64, MANY, "shape", 1, ACTS,
          "The shape that the file has, without the batch dimension; empty: a scalar."),
};
TYPE(reshape, "ModelTensorReshape");

FIELDS(input) = {
    VALUE(STRING, ONE, "name", 1, ACTS, "The input's name in the file."),
    CHOICE(data_type, ONE, "data_type", 2, ACTS, "The element type; checked against the file."),
    CHOICE(input_format, ONE, "format", 3, ACTS, "Shown to clients; changes nothing."),
    VALUE(INT64, MANY, "dims", 4, ACTS,
          "The shape that clients send, without the batch dimension; -1: any size."),
    MESSAGE(reshape, ONE, "reshape", 5, ACTS, "The shape in which the model receives it."),
    VALUE(BOOL, ONE, "is_shape_tensor", 6, NO, "TensorRT's shape tensors do not exist here."),
    VALUE(BOOL, ONE, "allow_ragged_batch", 7, LATER, "Batch requests of different shapes."),
    VALUE(BOOL, ONE, "optional", 8, ACTS,
          "Whether requests may leave it out; by default as the file says."),
    VALUE(BOOL, ONE, "is_non_linear_format_io", 9, NO, "TensorRT's formats do not exist here."),
};
TYPE(input, "ModelInput");

FIELDS(output) = {
    VALUE(STRING, ONE, "name", 1, ACTS, "The output's name in the file."),
    CHOICE(data_type, ONE, "data_type", 2, ACTS, "The element type; checked against the file."),
    VALUE(INT64, MANY, "dims", 3, ACTS, "The shape, without the batch dimension; -1: any size."),
    VALUE(STRING, ONE, "label_filename", 4, ACTS,
          "A file in the model's folder with the name of a class in each line."),
    MESSAGE(reshape, ONE, "reshape", 5, ACTS, "The shape in which the model produces it."),
    VALUE(BOOL, ONE, "is_shape_tensor", 6, NO, "TensorRT's shape tensors do not exist here."),
    VALUE(BOOL, ONE, "is_non_linear_format_io", 7, NO, "TensorRT's formats do not exist here."),
};
TYPE(output, "ModelOutput");

FIELDS(batch_input) = {
    CHOICE(batch_input_kind, ONE, "kind", 1, LATER, "What to generate."),
    VALUE(STRING, MANY, "target_name", 2, LATER, "The model's inputs that receive it."),
    CHOICE(data_type, ONE, "data_type", 3, LATER, "Its element type."),
    VALUE(STRING, MANY, "source_input", 4, LATER, "The inputs that are counted."),
};
TYPE(batch_input, "BatchInput");

FIELDS(batch_output) = {
    VALUE(STRING, MANY, "target_name", 1, LATER, "The outputs to scatter."),
    CHOICE(batch_output_kind, ONE, "kind", 2, LATER, "How to scatter."),
    VALUE(STRING, MANY, "source_input", 3, LATER, "The inputs that give the shapes."),
};
TYPE(batch_output, "BatchOutput");

/* ---- instances ---- */

FIELDS(resource) = {
    VALUE(STRING, ONE, "name", 1, LATER, "The resource's name."),
    VALUE(BOOL, ONE, "global", 2, LATER, "Shared by all devices."),
    VALUE(UINT32, ONE, "count", 3, LATER, "How much of it a run takes."),
};
TYPE(resource, "ModelRateLimiter.Resource");

FIELDS(rate_limiter) = {
    MESSAGE(resource, MANY, "resources", 1, LATER, "What a run takes."),
    VALUE(UINT32, ONE, "priority", 2, LATER, "Weight among models."),
};
TYPE(rate_limiter, "ModelRateLimiter");

FIELDS(secondary_device) = {
    CHOICE(secondary_kind, ONE, "kind", 1, LATER, "The device's kind."),
    VALUE(INT64, ONE, "device_id", 2, LATER, "The device's number."),
};
TYPE(secondary_device, "ModelInstanceGroup.SecondaryDevice");

FIELDS(instance_group) = {
    VALUE(STRING, ONE, "name", 1, ACTS, "Shown to clients; changes nothing."),
    VALUE(
        INT32, ONE, "count", 2, ACTS,
        "How many runs may go on at once, all groups added up, on each GPU of a group that has "
        "some; 0 or absent: no limit, on GPUs 1.  The weights are there once, whatever the count, "
        "or once on each device."),
    VALUE(INT32, MANY, "gpus", 3, ACTS,
          "Which of the backend's GPUs, `count` runs on each; none written: all of them."),
    CHOICE(
        instance_kind, ONE, "kind", 4, ACTS,
        "Where to run: `KIND_GPU` on its `gpus`, `KIND_AUTO` there if they exist; otherwise on the "
        "CPU, and so where a backend has no GPU."),
    VALUE(STRING, MANY, "profile", 5, NO, "TensorRT's profiles do not exist here."),
    MESSAGE(rate_limiter, ONE, "rate_limiter", 6, LATER, "What a run takes of shared resources."),
    VALUE(BOOL, ONE, "passive", 7, LATER, "Load, but take no requests."),
    MESSAGE(secondary_device, MANY, "secondary_devices", 8, NO, "DLA cores do not exist here."),
    VALUE(STRING, ONE, "host_policy", 9, LATER, "Which NUMA node and cores to use: here `cores`."),
    VALUE(STRING, ONE, "cores", 1001, OURS,
          "As `cores` of the model, for the runs of this group; where groups have unlike ones each "
          "of them has a `count`."),
};
TYPE(instance_group, "ModelInstanceGroup");

/* ---- optimisation ---- */

FIELDS(graph) = {
    VALUE(INT32, ONE, "level", 1, ACTS,
          "ONNX Runtime's graph optimisation: -1 basic, 0 all, 1 extended, 2 none."),
};
TYPE(graph, "ModelOptimizationPolicy.Graph");

FIELDS(cuda_shape) = {
    VALUE(INT64, MANY, "dim", 1, LATER, "The shape."),
};
TYPE(cuda_shape, "ModelOptimizationPolicy.Cuda.GraphSpec.Shape");

FIELDS(lower_bound) = {
    VALUE(INT32, ONE, "batch_size", 1, LATER, "The smallest batch."),
    MESSAGE(cuda_shape, MAP_STRING, "input", 2, LATER, "The smallest shape of each input."),
};
TYPE(lower_bound, "ModelOptimizationPolicy.Cuda.GraphSpec.LowerBound");

FIELDS(graph_spec) = {
    VALUE(INT32, ONE, "batch_size", 1, LATER, "The batch to capture."),
    MESSAGE(cuda_shape, MAP_STRING, "input", 2, LATER, "The shape of each input."),
    MESSAGE(lower_bound, ONE, "graph_lower_bound", 3, LATER, "The smallest batch it serves."),
};
TYPE(graph_spec, "ModelOptimizationPolicy.Cuda.GraphSpec");

FIELDS(cuda) = {
    VALUE(BOOL, ONE, "graphs", 1, LATER, "Capture CUDA graphs."),
    VALUE(BOOL, ONE, "busy_wait_events", 2, LATER, "Wait for the device without sleeping."),
    MESSAGE(graph_spec, MANY, "graph_spec", 3, LATER, "Which graphs to capture."),
    VALUE(BOOL, ONE, "output_copy_stream", 4, LATER, "Copy outputs on a stream of their own."),
};
TYPE(cuda, "ModelOptimizationPolicy.Cuda");

FIELDS(accelerator) = {
    VALUE(STRING, ONE, "name", 1, ACTS,
          "The execution provider: `cuda`; with another one a GPU's runs are CUDA's, too."),
    VALUE(STRING, MAP_STRING, "parameters", 2, ACTS, "Options of `cuda`: see gpus.md."),
};
TYPE(accelerator, "ModelOptimizationPolicy.ExecutionAccelerators.Accelerator");

FIELDS(accelerators) = {
    MESSAGE(accelerator, MANY, "gpu_execution_accelerator", 1, ACTS, "Providers on a GPU."),
    MESSAGE(accelerator, MANY, "cpu_execution_accelerator", 2, LATER, "Providers on the CPU."),
};
TYPE(accelerators, "ModelOptimizationPolicy.ExecutionAccelerators");

FIELDS(pinned_memory) = {
    VALUE(BOOL, ONE, "enable", 1, LATER, "Whether to use pinned memory."),
};
TYPE(pinned_memory, "ModelOptimizationPolicy.PinnedMemoryBuffer");

FIELDS(optimization) = {
    MESSAGE(graph, ONE, "graph", 1, ACTS, "How far the graph is optimised at load."),
    CHOICE(model_priority, ONE, "priority", 2, LATER, "Priority on the device."),
    MESSAGE(cuda, ONE, "cuda", 3, LATER, "CUDA settings."),
    MESSAGE(accelerators, ONE, "execution_accelerators", 4, ACTS, "Execution providers."),
    MESSAGE(pinned_memory, ONE, "input_pinned_memory", 5, LATER, "Pinned memory for inputs."),
    MESSAGE(pinned_memory, ONE, "output_pinned_memory", 6, LATER, "Pinned memory for outputs."),
    VALUE(UINT32, ONE, "gather_kernel_buffer_threshold", 7, LATER, "When a kernel gathers."),
    VALUE(BOOL, ONE, "eager_batching", 8, LATER, "Gather while the device works."),
};
TYPE(optimization, "ModelOptimizationPolicy");

/* ---- schedulers ---- */

FIELDS(queue_policy) = {
    CHOICE(timeout_action, ONE, "timeout_action", 1, ACTS,
           "What happens to a request that is later than its default timeout: REJECT, it is "
           "answered so; DELAY, it waits on, as if there were none."),
    VALUE(UINT64, ONE, "default_timeout_microseconds", 2, ACTS,
          "How long a request may take that names no time; 0: as long as it likes."),
    VALUE(BOOL, ONE, "allow_timeout_override", 3, ACTS,
          "Changes nothing: requests may always ask for less time, and never for more."),
    VALUE(UINT32, ONE, "max_queue_size", 4, ACTS,
          "How many requests may wait, `sched.model_queue_max` at most; 0: so many.  Levels that "
          "are of one class share it."),
};
TYPE(queue_policy, "ModelQueuePolicy");

FIELDS(dynamic_batching) = {
    VALUE(INT32, MANY, "preferred_batch_size", 1, ACTS,
          "A batch of such a size is run at once; 16 sizes at most."),
    VALUE(UINT64, ONE, "max_queue_delay_microseconds", 2, ACTS,
          "How long a smaller one waits for company, at most."),
    VALUE(BOOL, ONE, "preserve_ordering", 3, LATER, "Answer in the order of arrival."),
    VALUE(UINT64, ONE, "priority_levels", 4, ACTS,
          "How many priorities there are, 1 being the most urgent; without them `priority` of a "
          "request says nothing."),
    VALUE(UINT64, ONE, "default_priority_level", 5, ACTS,
          "The priority of most requests: class `normal`.  Lower numbers are `interactive`, higher "
          "ones `batch`, among all models."),
    MESSAGE(queue_policy, ONE, "default_queue_policy", 6, ACTS, "The queue's limits."),
    MESSAGE(queue_policy, MAP_UINT64, "priority_queue_policy", 7, ACTS,
            "The same by priority, instead of the default."),
};
TYPE(dynamic_batching, "ModelDynamicBatching");

FIELDS(control) = {
    CHOICE(control_kind, ONE, "kind", 1, ACTS, "What the tensor tells the model."),
    VALUE(INT32, MANY, "int32_false_true", 2, ACTS, "The two values, as integers."),
    VALUE(FLOAT, MANY, "fp32_false_true", 3, ACTS, "The two values, as floats."),
    CHOICE(data_type, ONE, "data_type", 4, ACTS, "The type of the correlation id."),
    VALUE(BOOL, MANY, "bool_false_true", 5, ACTS, "The two values, as booleans."),
};
TYPE(control, "ModelSequenceBatching.Control");

FIELDS(control_input) = {
    VALUE(STRING, ONE, "name", 1, ACTS, "The model's input."),
    MESSAGE(control, MANY, "control", 2, ACTS, "What it is told."),
};
TYPE(control_input, "ModelSequenceBatching.ControlInput");

FIELDS(initial_state) = {
    CHOICE(data_type, ONE, "data_type", 1, ACTS, "The state's type."),
    VALUE(INT64, MANY, "dims", 2, ACTS, "The state's shape."),
    MEMBER_VALUE(BOOL, "state_data", "zero_data", 3, ACTS, "Begin with zeros."),
    MEMBER_VALUE(STRING, "state_data", "data_file", 4, ACTS, "Begin with a file's content."),
    VALUE(STRING, ONE, "name", 5, ACTS, "The initial state's name."),
};
TYPE(initial_state, "ModelSequenceBatching.InitialState");

FIELDS(sequence_state) = {
    VALUE(STRING, ONE, "input_name", 1, ACTS, "The input that takes the state."),
    VALUE(STRING, ONE, "output_name", 2, ACTS, "The output that gives it."),
    CHOICE(data_type, ONE, "data_type", 3, ACTS, "The state's type."),
    VALUE(INT64, MANY, "dims", 4, ACTS, "The state's shape."),
    MESSAGE(initial_state, MANY, "initial_state", 5, ACTS, "What it begins with."),
    VALUE(BOOL, ONE, "use_same_buffer_for_input_output", 6, LATER, "One buffer for both."),
    VALUE(BOOL, ONE, "use_growable_memory", 7, LATER, "A buffer that grows."),
};
TYPE(sequence_state, "ModelSequenceBatching.State");

FIELDS(direct) = {
    VALUE(UINT64, ONE, "max_queue_delay_microseconds", 1, ACTS,
          "How long a run that has fewer rows than minimum_slot_utilization asks for waits for "
          "company, at most; without that, it does not."),
    VALUE(FLOAT, ONE, "minimum_slot_utilization", 2, ACTS,
          "For which part of max_batch_size a run waits, 0 to 1."),
};
TYPE(direct, "ModelSequenceBatching.StrategyDirect");

FIELDS(oldest) = {
    VALUE(INT32, ONE, "max_candidate_sequences", 1, ACTS, "How many sequences are open."),
    VALUE(INT32, MANY, "preferred_batch_size", 2, ACTS,
          "A batch of such a size is run at once; 16 sizes at most."),
    VALUE(UINT64, ONE, "max_queue_delay_microseconds", 3, ACTS,
          "How long a smaller one waits for company, at most."),
    VALUE(BOOL, ONE, "preserve_ordering", 4, LATER, "Answer in the order of arrival."),
};
TYPE(oldest, "ModelSequenceBatching.StrategyOldest");

FIELDS(sequence_batching) = {
    VALUE(UINT64, ONE, "max_sequence_idle_microseconds", 1, ACTS, "When a sequence is given up."),
    MESSAGE(control_input, MANY, "control_input", 2, ACTS, "Inputs that the server fills."),
    MEMBER(direct, "strategy_choice", "direct", 3, ACTS, "A slot for each sequence."),
    MEMBER(oldest, "strategy_choice", "oldest", 4, ACTS, "Batches of the oldest sequences."),
    MESSAGE(sequence_state, MANY, "state", 5, ACTS, "State that the server keeps."),
    VALUE(BOOL, ONE, "iterative_sequence", 6, LATER, "Run again until the model says stop."),
};
TYPE(sequence_batching, "ModelSequenceBatching");

FIELDS(ensemble_step) = {
    VALUE(STRING, ONE, "model_name", 1, ACTS, "The model to run."),
    VALUE(INT64, ONE, "model_version", 2, ACTS, "Its version; -1: the highest."),
    VALUE(STRING, MAP_STRING, "input_map", 3, ACTS, "Its inputs to the ensemble's tensors."),
    VALUE(STRING, MAP_STRING, "output_map", 4, ACTS, "Its outputs to the ensemble's tensors."),
    VALUE(STRING, ONE, "model_namespace", 5, LATER, "The repository that has it."),
};
TYPE(ensemble_step, "ModelEnsembling.Step");

FIELDS(ensembling) = {
    MESSAGE(ensemble_step, MANY, "step", 1, ACTS, "The models, and how tensors flow."),
    VALUE(UINT32, ONE, "max_inflight_requests", 2, LATER, "How many run at once."),
};
TYPE(ensembling, "ModelEnsembling");

/* ---- the rest ---- */

FIELDS(parameter) = {
    VALUE(STRING, ONE, "string_value", 1, ACTS, "The value."),
};
TYPE(parameter, "ModelParameter");

FIELDS(warmup_input) = {
    CHOICE(data_type, ONE, "data_type", 1, ACTS, "The input's type."),
    VALUE(INT64, MANY, "dims", 2, ACTS, "The shape of one row: without the batch dimension."),
    MEMBER_VALUE(BOOL, "input_data_type", "zero_data", 3, ACTS, "Zeros; empty strings."),
    MEMBER_VALUE(BOOL, "input_data_type", "random_data", 4, ACTS,
                 "Random numbers from 0 to 1, the same each time; integers are 0 or 1."),
    MEMBER_VALUE(STRING, "input_data_type", "input_data_file", 5, ACTS,
                 "A file in the folder `warmup` of the model's, with the bytes of one row."),
};
TYPE(warmup_input, "ModelWarmup.Input");

FIELDS(warmup) = {
    VALUE(STRING, ONE, "name", 1, ACTS, "The request's name."),
    VALUE(UINT32, ONE, "batch_size", 2, ACTS,
          "How often the row that `inputs` describe is in it; 0 or absent: once."),
    MESSAGE(warmup_input, MAP_STRING, "inputs", 3, ACTS, "Its inputs."),
    VALUE(UINT32, ONE, "count", 4, ACTS, "How often it is run; 0 or absent: once."),
};
TYPE(warmup, "ModelWarmup");

FIELDS(operations) = {
    VALUE(STRING, MANY, "op_library_filename", 1, LATER, "Libraries with operators."),
};
TYPE(operations, "ModelOperations");

FIELDS(transaction_policy) = {
    VALUE(BOOL, ONE, "decoupled", 1, NO,
          "a model that answers a request several times cannot be served"),
};
TYPE(transaction_policy, "ModelTransactionPolicy");

FIELDS(agent) = {
    VALUE(STRING, ONE, "name", 1, LATER, "The agent."),
    VALUE(STRING, MAP_STRING, "parameters", 2, LATER, "Its options."),
};
TYPE(agent, "ModelRepositoryAgents.Agent");

FIELDS(agents) = {
    MESSAGE(agent, MANY, "agents", 1, LATER, "The agents, in order."),
};
TYPE(agents, "ModelRepositoryAgents");

FIELDS(response_cache) = {
    VALUE(BOOL, ONE, "enable", 1, LATER, "Keep answers."),
};
TYPE(response_cache, "ModelResponseCache");

FIELDS(metric_identifier) = {
    VALUE(STRING, ONE, "family", 1, LATER, "The metric's name."),
};
TYPE(metric_identifier, "ModelMetrics.MetricControl.MetricIdentifier");

FIELDS(histogram_options) = {
    VALUE(DOUBLE, MANY, "buckets", 1, LATER, "The upper bounds."),
};
TYPE(histogram_options, "ModelMetrics.MetricControl.HistogramOptions");

FIELDS(metric_control) = {
    MESSAGE(metric_identifier, ONE, "metric_identifier", 1, LATER, "Which metric."),
    MEMBER(histogram_options, "metric_options", "histogram_options", 2, LATER, "Its buckets."),
};
TYPE(metric_control, "ModelMetrics.MetricControl");

FIELDS(model_metrics) = {
    MESSAGE(metric_control, MANY, "metric_control", 1, LATER, "One entry for each metric."),
};
TYPE(model_metrics, "ModelMetrics");

/* ---- ours ---- */

FIELDS(rate_limit) = {
    VALUE(DOUBLE, ONE, "requests_per_second", 1, OURS,
          "Requests a second; after a pause as many at once."),
    VALUE(DOUBLE, ONE, "rows_per_second", 2, OURS, "Rows of these a second, likewise."),
    VALUE(UINT32, ONE, "concurrency", 3, OURS, "Requests that wait or run at one time."),
};
static const struct trp_message rate_limit = { "troupe.RateLimit", rate_limit_fields,
                                               ARRAY_LEN(rate_limit_fields) };

FIELDS(quality) = {
    VALUE(STRING, ONE, "name", 1, OURS, "What is counted, such as `accuracy`."),
    VALUE(DOUBLE, ONE, "value", 2, OURS, "How much of it, on whatever data its owner measured."),
    VALUE(BOOL, ONE, "lower_is_better", 3, OURS, "True for an error or a loss."),
};
static const struct trp_message quality = { "troupe.Quality", quality_fields,
                                            ARRAY_LEN(quality_fields) };

/* ---- the whole ---- */

FIELDS(model_config) = {
    VALUE(STRING, ONE, "name", 1, ACTS, "The model's name; must equal the folder's."),
    VALUE(STRING, ONE, "platform", 2, ACTS, "`onnxruntime_onnx`; the older form of `backend`."),
    MESSAGE(version_policy, ONE, "version_policy", 3, ACTS,
            "Which versions are served; by default the highest one."),
    VALUE(INT32, ONE, "max_batch_size", 4, ACTS,
          "0: the shapes are whole; more: a batch dimension of at most this stands in front of "
          "every input and output."),
    MESSAGE(input, MANY, "input", 5, ACTS, "The inputs; by default as the file says."),
    MESSAGE(output, MANY, "output", 6, ACTS, "The outputs; by default as the file says."),
    MESSAGE(instance_group, MANY, "instance_group", 7, ACTS, "How many runs go on at once."),
    VALUE(STRING, ONE, "default_model_filename", 8, ACTS,
          "The file's name, or its path in the version's folder; by default `model.onnx`."),
    VALUE(STRING, MAP_STRING, "cc_model_filenames", 9, LATER,
          "Files by a GPU's compute capability."),
    VALUE(STRING, MAP_STRING, "metric_tags", 10, LATER, "Labels on the model's metrics."),
    MEMBER(dynamic_batching, "scheduling_choice", "dynamic_batching", 11, ACTS,
           "With `max_batch_size`: requests that wait are joined into batches of at most that."),
    MESSAGE(optimization, ONE, "optimization", 12, ACTS, "How the backend optimises."),
    MEMBER(sequence_batching, "scheduling_choice", "sequence_batching", 13, ACTS,
           "Requests that belong together."),
    MESSAGE(parameter, MAP_STRING, "parameters", 14, ACTS,
            "Options of the backend; docs/onnxruntime.md lists ONNX Runtime's."),
    MEMBER(ensembling, "scheduling_choice", "ensemble_scheduling", 15, ACTS,
           "A model made of models: docs/composition.md."),
    MESSAGE(warmup, MANY, "model_warmup", 16, ACTS, "Requests to run before the model is ready."),
    VALUE(STRING, ONE, "backend", 17, ACTS, "Who runs it; by default by the file's ending."),
    MESSAGE(operations, ONE, "model_operations", 18, LATER, "Operators of your own."),
    MESSAGE(transaction_policy, ONE, "model_transaction_policy", 19, ACTS,
            "How often a request is answered: once."),
    MESSAGE(batch_input, MANY, "batch_input", 20, NO, "ragged batches cannot be served"),
    MESSAGE(batch_output, MANY, "batch_output", 21, NO, "ragged batches cannot be served"),
    MESSAGE(agents, ONE, "model_repository_agents", 23, LATER, "Who checks the files."),
    MESSAGE(response_cache, ONE, "response_cache", 24, LATER, "Whether answers are kept."),
    VALUE(STRING, ONE, "runtime", 25, LATER, "The backend library's file."),
    MESSAGE(model_metrics, ONE, "model_metrics", 26, LATER, "The model's metrics."),
    CHOICE(load_policy, ONE, "load", 1001, OURS,
           "When it is loaded: `on_demand`, `startup`, `background` or `explicit`; by default as "
           "`models.load` says."),
    VALUE(STRING, ONE, "keep_alive", 1002, OURS,
          "How long it stays loaded without a request, such as `5m`; `forever`: until its room is "
          "wanted; by default as `models.keep_alive` says."),
    VALUE(BOOL, ONE, "pin", 1003, OURS, "Never let go by itself; by default as `models.pin` says."),
    VALUE(UINT32, ONE, "priority", 1004, OURS,
          "1 to 100: how much its requests count against others' when room is short; by default "
          "as `models.priority` says."),
    VALUE(STRING, ONE, "max_bytes", 1005, OURS,
          "Most memory that each version may hold, such as `2GiB`; what would hold more is "
          "refused; by default as `models.max_bytes` says."),
    CHOICE(batching, ONE, "batching", 1011, OURS,
           "Whether requests that wait are joined: `on`, `off`, or `auto`; by default `on` with "
           "`dynamic_batching` and `max_batch_size`, otherwise `auto`."),
    VALUE(STRING, ONE, "deadline", 1012, OURS,
          "How long a request may take that names no time, such as `200ms`; by default as long as "
          "it likes."),
    MESSAGE(rate_limit, ONE, "rate_limit", 1013, OURS,
            "How much may be asked of it, all its versions together; what is more is refused with "
            "the time to come back."),
    CHOICE(
        isolation, ONE, "isolation", 1014, OURS,
        "`process`: it runs in a worker process of its own, whose end ends nothing else; `none`; "
        "`auto`, the default: `process` where a request could end the process (integer division "
        "by what may be -1)."),
    VALUE(STRING, ONE, "task", 1021, OURS,
          "What it is for, such as `classification`, `detection`, `embedding`, `ranking`: small "
          "letters, digits, `-`, `_`, `.`; the name `task:classification` finds the best for it."),
    VALUE(STRING, MANY, "tags", 1022, OURS, "Words to find it by, written like a task."),
    VALUE(STRING, ONE, "description", 1023, OURS, "What people should know of it."),
    MESSAGE(quality, ONE, "quality", 1024, OURS, "How good it is: a number with a name."),
    VALUE(STRING, MAP_STRING, "input_kinds", 1025, OURS,
          "What an input carries, by its name: `image`, `text`, `audio` or `tensor`."),
    VALUE(INT64, MAP_STRING, "labels", 1031, OURS,
          "Names of versions, such as `stable: 3`, that requests use like numbers; each must be of "
          "a version that is served."),
    CHOICE(hint, ONE, "hint", 1041, OURS,
           "What matters more: `latency` lets one run use several threads, `throughput` gives each "
           "run one and lets many go on side by side; by default `throughput`."),
    VALUE(STRING, ONE, "cores", 1042, OURS,
          "The cores that its runs go to, such as `0-3,6`; by default wherever a thread that runs "
          "models is."),
};
const struct trp_message trp_model_config_message = { "inference.ModelConfig", model_config_fields,
                                                      ARRAY_LEN(model_config_fields) };

const struct trp_message *const trp_model_config_messages[] = {
    &trp_model_config_message,
    &quality,
    &rate_limit,
    &version_policy,
    &latest,
    &all_versions,
    &specific,
    &input,
    &output,
    &reshape,
    &batch_input,
    &batch_output,
    &instance_group,
    &secondary_device,
    &rate_limiter,
    &resource,
    &optimization,
    &graph,
    &cuda,
    &graph_spec,
    &cuda_shape,
    &lower_bound,
    &accelerators,
    &accelerator,
    &pinned_memory,
    &dynamic_batching,
    &queue_policy,
    &sequence_batching,
    &control_input,
    &control,
    &initial_state,
    &sequence_state,
    &direct,
    &oldest,
    &ensembling,
    &ensemble_step,
    &parameter,
    &warmup,
    &warmup_input,
    &operations,
    &transaction_policy,
    &agents,
    &agent,
    &response_cache,
    &model_metrics,
    &metric_control,
    &metric_identifier,
    &histogram_options,
};
const uint32_t trp_model_config_messages_n = ARRAY_LEN(trp_model_config_messages);

const struct trp_enum *const trp_model_config_enums[] = {
    &data_type,         &instance_kind,  &secondary_kind, &input_format, &batch_input_kind,
    &batch_output_kind, &model_priority, &timeout_action, &control_kind,
};
const uint32_t trp_model_config_enums_n = ARRAY_LEN(trp_model_config_enums);

/* ---- reading ---- */

static void add_place(struct trp_buf *warnings, const struct trp_node *n)
{
    if (n->file && n->line > 0)
        trp_buf_addf(warnings, "%s:%u: ", n->file, n->line);
    else if (n->file)
        trp_buf_addf(warnings, "%s: ", n->file);
}

static void note_if_later(void *user, const struct trp_field *f, const struct trp_node *n)
{
    struct trp_buf *warnings = user;
    if (f->use != TRP_USE_LATER)
        return;
    add_place(warnings, n);
    trp_buf_addf(warnings, "\"%s\" is understood but not acted upon yet\n", f->name);
}

static trp_status read_json(struct trp_arena *a, struct trp_str text, const char *file,
                            struct trp_node **out, struct trp_error *err)
{
    struct trp_json_parser *parser;
    struct trp_json root;
    *out = NULL;
    TRP_CHECK(trp_json_parser_create(text.len, JSON_DEPTH_MAX, &parser, err));
    trp_status st = trp_json_parse(parser, text, false, &root, err);
    if (trp_failed(st))
        trp_error_within(err, "%s", file);
    else
        st = trp_node_from_json(a, root, file, out, err);
    trp_json_parser_destroy(parser);
    return st;
}

static trp_status read_text(struct trp_arena *a, struct trp_str text, const char *file,
                            struct trp_node **out, struct trp_error *err)
{
    const struct trp_str name = trp_str_of(file);
    if (trp_str_ends_with(name, TRP_STR_LIT(".pbtxt")))
        return trp_node_from_pbtxt(a, text, file, NODES_MAX, out, err);
    if (trp_str_ends_with(name, TRP_STR_LIT(".yaml")) ||
        trp_str_ends_with(name, TRP_STR_LIT(".yml")))
        return trp_node_from_yaml(a, text, file, NODES_MAX, out, err);
    return read_json(a, text, file, out, err);
}

const char *trp_model_definition_kind(const struct trp_node *written)
{
    static const char *const kinds[] = { "route", "ensemble", "cascade", "pipeline",
                                         "ensemble_scheduling" };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (trp_node_get(written, kinds[i]))
            return kinds[i];
    const struct trp_node *platform = trp_node_get(written, "platform");
    const bool is_text =
        platform && (platform->kind == TRP_NODE_STR || platform->kind == TRP_NODE_WORD);
    return is_text && trp_str_is(platform->v.s, "ensemble") ? "ensemble_scheduling" : NULL;
}

trp_status trp_model_file_parse(struct trp_arena *a, struct trp_str text, const char *file,
                                struct trp_node **out_tree, struct trp_node **out_definition,
                                struct trp_str *out_warnings, struct trp_error *err)
{
    struct trp_node *written;
    struct trp_buf warnings;
    *out_tree = *out_definition = NULL;
    TRP_CHECK(read_text(a, text, file, &written, err));
    if (trp_model_definition_kind(written)) {
        *out_definition = written;
        return trp_ok();
    }
    trp_buf_init(&warnings, a->alloc, 1 << 20);
    trp_status st = trp_schema_normalise(a, &trp_model_config_message, written, note_if_later,
                                         &warnings, out_tree, err);
    if (!trp_failed(st))
        st = trp_buf_check(&warnings, file, err);
    if (!trp_failed(st) && out_warnings) {
        *out_warnings = trp_arena_dup(a, trp_buf_str(&warnings));
        if (!out_warnings->ptr)
            st = trp_fail(err, TRP_OUT_OF_MEMORY, "%s: no memory", file);
    }
    if (trp_failed(st))
        *out_tree = NULL;
    trp_buf_deinit(&warnings);
    return st;
}

trp_status trp_model_config_parse(struct trp_arena *a, struct trp_str text, const char *file,
                                  struct trp_node **out_tree, struct trp_str *out_warnings,
                                  struct trp_error *err)
{
    struct trp_node *definition;
    TRP_CHECK(trp_model_file_parse(a, text, file, out_tree, &definition, out_warnings, err));
    if (!definition)
        return trp_ok();
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "%s: a load can give the configuration of a model, not of a %s", file,
                    trp_model_definition_kind(definition));
}
