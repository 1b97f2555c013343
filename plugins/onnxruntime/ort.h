/* onnxruntime/ort.h - the part of ONNX Runtime's C ABI that this plugin uses.
 * Answers "which function stands in which slot?".
 *
 * ONNX Runtime's C API is one table of function pointers that only ever grows at its end: a slot's
 * number is fixed for good.  Declaring the slots here keeps the build free of a header that no
 * package carries, and lets one binary run with every library from 1.23 on.  Objects are opaque;
 * enums travel as int32_t, which is what they are on this ABI; a result of `struct OrtStatus *` is
 * NULL on success and must be released otherwise.  Names are ONNX Runtime's own, so that its
 * documentation can be searched.
 *   Source: onnxruntime_c_api.h of releases 1.23 and 1.24. */
#ifndef TRP_ORT_H
#define TRP_ORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ORT_API_NEEDED 23u /* 1.23, the first with all that must be there */
#define ORT_API_WANTED 24u /* 1.24, the first with all that is used where it is there */

enum ort_element { /* ONNXTensorElementDataType */
                   ORT_ELEMENT_UNDEFINED = 0,
                   ORT_ELEMENT_FLOAT = 1,
                   ORT_ELEMENT_UINT8 = 2,
                   ORT_ELEMENT_INT8 = 3,
                   ORT_ELEMENT_UINT16 = 4,
                   ORT_ELEMENT_INT16 = 5,
                   ORT_ELEMENT_INT32 = 6,
                   ORT_ELEMENT_INT64 = 7,
                   ORT_ELEMENT_STRING = 8,
                   ORT_ELEMENT_BOOL = 9,
                   ORT_ELEMENT_FLOAT16 = 10,
                   ORT_ELEMENT_DOUBLE = 11,
                   ORT_ELEMENT_UINT32 = 12,
                   ORT_ELEMENT_UINT64 = 13,
                   ORT_ELEMENT_COMPLEX64 = 14,
                   ORT_ELEMENT_COMPLEX128 = 15,
                   ORT_ELEMENT_BFLOAT16 = 16,
                   ORT_ELEMENT_FLOAT8E4M3FN = 17,
                   ORT_ELEMENT_FLOAT8E4M3FNUZ = 18,
                   ORT_ELEMENT_FLOAT8E5M2 = 19,
                   ORT_ELEMENT_FLOAT8E5M2FNUZ = 20,
                   ORT_ELEMENT_UINT4 = 21,
                   ORT_ELEMENT_INT4 = 22
};

enum ort_type { /* ONNXType */
                ORT_TYPE_UNKNOWN = 0,
                ORT_TYPE_TENSOR = 1,
                ORT_TYPE_SEQUENCE = 2,
                ORT_TYPE_MAP = 3,
                ORT_TYPE_OPAQUE = 4,
                ORT_TYPE_SPARSE = 5,
                ORT_TYPE_OPTIONAL = 6
};

enum ort_code { /* OrtErrorCode */
                ORT_OK = 0,
                ORT_FAIL = 1,
                ORT_INVALID_ARGUMENT = 2,
                ORT_NO_SUCHFILE = 3,
                ORT_NO_MODEL = 4,
                ORT_ENGINE_ERROR = 5,
                ORT_RUNTIME_EXCEPTION = 6,
                ORT_INVALID_PROTOBUF = 7,
                ORT_MODEL_LOADED = 8,
                ORT_NOT_IMPLEMENTED = 9,
                ORT_INVALID_GRAPH = 10,
                ORT_EP_FAIL = 11,
                ORT_MODEL_LOAD_CANCELED = 12,
                ORT_MODEL_REQUIRES_COMPILATION = 13,
                ORT_NOT_FOUND = 14
};

enum ort_severity { /* OrtLoggingLevel */
                    ORT_SEVERITY_VERBOSE = 0,
                    ORT_SEVERITY_INFO = 1,
                    ORT_SEVERITY_WARNING = 2,
                    ORT_SEVERITY_ERROR = 3,
                    ORT_SEVERITY_FATAL = 4
};

enum ort_level { /* GraphOptimizationLevel */
                 ORT_LEVEL_NONE = 0,
                 ORT_LEVEL_BASIC = 1,
                 ORT_LEVEL_EXTENDED = 2,
                 ORT_LEVEL_ALL = 99
};

enum { ORT_MODE_SEQUENTIAL = 0, ORT_MODE_PARALLEL = 1 };    /* ExecutionMode */
enum { ORT_ALLOCATOR_DEVICE = 0, ORT_ALLOCATOR_ARENA = 1 }; /* OrtAllocatorType */
enum { ORT_MEM_CPU_OUTPUT = -1, ORT_MEM_DEFAULT = 0 };      /* OrtMemType */

struct OrtStatus;
struct OrtEnv;
struct OrtSession;
struct OrtSessionOptions;
struct OrtRunOptions;
struct OrtValue;
struct OrtTypeInfo;
struct OrtTensorTypeAndShapeInfo;
struct OrtMapTypeInfo;
struct OrtSequenceTypeInfo;
struct OrtMemoryInfo;
struct OrtThreadingOptions;
struct OrtKeyValuePairs;
struct OrtSyncStream;
struct OrtExternalInitializerInfo;
struct OrtModelCompilationOptions;
struct OrtCompileApi;
struct OrtCUDAProviderOptionsV2;

/* OrtAllocator, which a program may implement.  `Reserve` is for what stays: weights. */
struct OrtAllocator {
    uint32_t version; /* the API it was written for: members after `Info` came later */
    void *(*Alloc)(struct OrtAllocator *self, size_t size);
    void (*Free)(struct OrtAllocator *self, void *p);
    const struct OrtMemoryInfo *(*Info)(const struct OrtAllocator *self);
    void *(*Reserve)(struct OrtAllocator *self, size_t size);
    struct OrtStatus *(*GetStats)(const struct OrtAllocator *self, struct OrtKeyValuePairs **out);
    void *(*AllocOnStream)(struct OrtAllocator *self, size_t size, struct OrtSyncStream *stream);
};

/* OrtLoggingFunction */
typedef void (*ort_log_fn)(void *param, int32_t severity, const char *category, const char *logid,
                           const char *code_location, const char *message);

typedef void (*ort_unused_fn)(void);

/* OrtApi up to the last slot that is used. */
struct OrtApi {
    struct OrtStatus *(*CreateStatus)(int32_t code, const char *msg);
    int32_t (*GetErrorCode)(const struct OrtStatus *status);
    const char *(*GetErrorMessage)(const struct OrtStatus *status);
    ort_unused_fn unused_3[4];
    struct OrtStatus *(*CreateSession)(const struct OrtEnv *env, const char *model_path,
                                       const struct OrtSessionOptions *options,
                                       struct OrtSession **out);
    struct OrtStatus *(*CreateSessionFromArray)(const struct OrtEnv *env, const void *model_data,
                                                size_t model_data_length,
                                                const struct OrtSessionOptions *options,
                                                struct OrtSession **out);
    struct OrtStatus *(*Run)(struct OrtSession *session, const struct OrtRunOptions *run_options,
                             const char *const *input_names, const struct OrtValue *const *inputs,
                             size_t input_len, const char *const *output_names,
                             size_t output_names_len, struct OrtValue **outputs);
    struct OrtStatus *(*CreateSessionOptions)(struct OrtSessionOptions **options);
    ort_unused_fn unused_11[2];
    struct OrtStatus *(*SetSessionExecutionMode)(struct OrtSessionOptions *options,
                                                 int32_t execution_mode);
    ort_unused_fn unused_14[2];
    struct OrtStatus *(*EnableMemPattern)(struct OrtSessionOptions *options);
    struct OrtStatus *(*DisableMemPattern)(struct OrtSessionOptions *options);
    struct OrtStatus *(*EnableCpuMemArena)(struct OrtSessionOptions *options);
    struct OrtStatus *(*DisableCpuMemArena)(struct OrtSessionOptions *options);
    ort_unused_fn unused_20[2];
    struct OrtStatus *(*SetSessionLogSeverityLevel)(struct OrtSessionOptions *options,
                                                    int session_log_severity_level);
    struct OrtStatus *(*SetSessionGraphOptimizationLevel)(struct OrtSessionOptions *options,
                                                          int32_t graph_optimization_level);
    struct OrtStatus *(*SetIntraOpNumThreads)(struct OrtSessionOptions *options,
                                              int intra_op_num_threads);
    struct OrtStatus *(*SetInterOpNumThreads)(struct OrtSessionOptions *options,
                                              int inter_op_num_threads);
    ort_unused_fn unused_26[4];
    struct OrtStatus *(*SessionGetInputCount)(const struct OrtSession *session, size_t *out);
    struct OrtStatus *(*SessionGetOutputCount)(const struct OrtSession *session, size_t *out);
    struct OrtStatus *(*SessionGetOverridableInitializerCount)(const struct OrtSession *session,
                                                               size_t *out);
    struct OrtStatus *(*SessionGetInputTypeInfo)(const struct OrtSession *session, size_t index,
                                                 struct OrtTypeInfo **type_info);
    struct OrtStatus *(*SessionGetOutputTypeInfo)(const struct OrtSession *session, size_t index,
                                                  struct OrtTypeInfo **type_info);
    struct OrtStatus *(*SessionGetOverridableInitializerTypeInfo)(const struct OrtSession *session,
                                                                  size_t index,
                                                                  struct OrtTypeInfo **type_info);
    struct OrtStatus *(*SessionGetInputName)(const struct OrtSession *session, size_t index,
                                             struct OrtAllocator *allocator, char **value);
    struct OrtStatus *(*SessionGetOutputName)(const struct OrtSession *session, size_t index,
                                              struct OrtAllocator *allocator, char **value);
    struct OrtStatus *(*SessionGetOverridableInitializerName)(const struct OrtSession *session,
                                                              size_t index,
                                                              struct OrtAllocator *allocator,
                                                              char **value);
    struct OrtStatus *(*CreateRunOptions)(struct OrtRunOptions **out);
    ort_unused_fn unused_40[1];
    struct OrtStatus *(*RunOptionsSetRunLogSeverityLevel)(struct OrtRunOptions *options,
                                                          int log_severity_level);
    ort_unused_fn unused_42[4];
    struct OrtStatus *(*RunOptionsSetTerminate)(struct OrtRunOptions *options);
    struct OrtStatus *(*RunOptionsUnsetTerminate)(struct OrtRunOptions *options);
    struct OrtStatus *(*CreateTensorAsOrtValue)(struct OrtAllocator *allocator,
                                                const int64_t *shape, size_t shape_len,
                                                int32_t type, struct OrtValue **out);
    struct OrtStatus *(*CreateTensorWithDataAsOrtValue)(const struct OrtMemoryInfo *info,
                                                        void *p_data, size_t p_data_len,
                                                        const int64_t *shape, size_t shape_len,
                                                        int32_t type, struct OrtValue **out);
    ort_unused_fn unused_50[1];
    struct OrtStatus *(*GetTensorMutableData)(struct OrtValue *value, void **out);
    ort_unused_fn unused_52[1];
    struct OrtStatus *(*GetStringTensorDataLength)(const struct OrtValue *value, size_t *len);
    struct OrtStatus *(*GetStringTensorContent)(const struct OrtValue *value, void *s, size_t s_len,
                                                size_t *offsets, size_t offsets_len);
    struct OrtStatus *(*CastTypeInfoToTensorInfo)(const struct OrtTypeInfo *type_info,
                                                  const struct OrtTensorTypeAndShapeInfo **out);
    struct OrtStatus *(*GetOnnxTypeFromTypeInfo)(const struct OrtTypeInfo *type_info, int32_t *out);
    ort_unused_fn unused_57[3];
    struct OrtStatus *(*GetTensorElementType)(const struct OrtTensorTypeAndShapeInfo *info,
                                              int32_t *out);
    struct OrtStatus *(*GetDimensionsCount)(const struct OrtTensorTypeAndShapeInfo *info,
                                            size_t *out);
    struct OrtStatus *(*GetDimensions)(const struct OrtTensorTypeAndShapeInfo *info,
                                       int64_t *dim_values, size_t dim_values_length);
    struct OrtStatus *(*GetSymbolicDimensions)(const struct OrtTensorTypeAndShapeInfo *info,
                                               const char *dim_params[], size_t dim_params_length);
    struct OrtStatus *(*GetTensorShapeElementCount)(const struct OrtTensorTypeAndShapeInfo *info,
                                                    size_t *out);
    struct OrtStatus *(*GetTensorTypeAndShape)(const struct OrtValue *value,
                                               struct OrtTensorTypeAndShapeInfo **out);
    ort_unused_fn unused_66[3];
    struct OrtStatus *(*CreateCpuMemoryInfo)(int32_t type, int32_t mem_type,
                                             struct OrtMemoryInfo **out);
    ort_unused_fn unused_70[6];
    struct OrtStatus *(*AllocatorFree)(struct OrtAllocator *ort_allocator, void *p);
    ort_unused_fn unused_77[1];
    struct OrtStatus *(*GetAllocatorWithDefaultOptions)(struct OrtAllocator **out);
    ort_unused_fn unused_79[1];
    struct OrtStatus *(*GetValue)(const struct OrtValue *value, int index,
                                  struct OrtAllocator *allocator, struct OrtValue **out);
    struct OrtStatus *(*GetValueCount)(const struct OrtValue *value, size_t *out);
    ort_unused_fn unused_82[10];
    void (*ReleaseEnv)(struct OrtEnv *object);
    void (*ReleaseStatus)(struct OrtStatus *object);
    void (*ReleaseMemoryInfo)(struct OrtMemoryInfo *object);
    void (*ReleaseSession)(struct OrtSession *object);
    void (*ReleaseValue)(struct OrtValue *object);
    void (*ReleaseRunOptions)(struct OrtRunOptions *object);
    void (*ReleaseTypeInfo)(struct OrtTypeInfo *object);
    void (*ReleaseTensorTypeAndShapeInfo)(struct OrtTensorTypeAndShapeInfo *object);
    void (*ReleaseSessionOptions)(struct OrtSessionOptions *object);
    ort_unused_fn unused_101[2];
    struct OrtStatus *(*CastTypeInfoToMapTypeInfo)(const struct OrtTypeInfo *type_info,
                                                   const struct OrtMapTypeInfo **out);
    struct OrtStatus *(*CastTypeInfoToSequenceTypeInfo)(const struct OrtTypeInfo *type_info,
                                                        const struct OrtSequenceTypeInfo **out);
    struct OrtStatus *(*GetMapKeyType)(const struct OrtMapTypeInfo *map_type_info, int32_t *out);
    struct OrtStatus *(*GetMapValueType)(const struct OrtMapTypeInfo *map_type_info,
                                         struct OrtTypeInfo **type_info);
    struct OrtStatus *(*GetSequenceElementType)(
        const struct OrtSequenceTypeInfo *sequence_type_info, struct OrtTypeInfo **type_info);
    ort_unused_fn unused_108[12];
    struct OrtStatus *(*DisablePerSessionThreads)(struct OrtSessionOptions *options);
    struct OrtStatus *(*CreateThreadingOptions)(struct OrtThreadingOptions **out);
    void (*ReleaseThreadingOptions)(struct OrtThreadingOptions *object);
    ort_unused_fn unused_123[7];
    struct OrtStatus *(*AddSessionConfigEntry)(struct OrtSessionOptions *options,
                                               const char *config_key, const char *config_value);
    ort_unused_fn unused_131[16];
    struct OrtStatus *(*SetGlobalIntraOpNumThreads)(struct OrtThreadingOptions *tp_options,
                                                    int intra_op_num_threads);
    struct OrtStatus *(*SetGlobalInterOpNumThreads)(struct OrtThreadingOptions *tp_options,
                                                    int inter_op_num_threads);
    struct OrtStatus *(*SetGlobalSpinControl)(struct OrtThreadingOptions *tp_options,
                                              int allow_spinning);
    struct OrtStatus *(*AddInitializer)(struct OrtSessionOptions *options, const char *name,
                                        const struct OrtValue *val);
    struct OrtStatus *(*CreateEnvWithCustomLoggerAndGlobalThreadPools)(
        ort_log_fn logging_function, void *logger_param, int32_t log_severity_level,
        const char *logid, const struct OrtThreadingOptions *tp_options, struct OrtEnv **out);
    ort_unused_fn unused_152[13];
    struct OrtStatus *(*AddRunConfigEntry)(struct OrtRunOptions *options, const char *config_key,
                                           const char *config_value);
    ort_unused_fn unused_166[10];
    struct OrtStatus *(*RegisterAllocator)(struct OrtEnv *env, struct OrtAllocator *allocator);
    struct OrtStatus *(*UnregisterAllocator)(struct OrtEnv *env,
                                             const struct OrtMemoryInfo *mem_info);
    ort_unused_fn unused_178[26];
    struct OrtStatus *(*SessionOptionsAppendExecutionProvider_CUDA_V2)(
        struct OrtSessionOptions *options, const struct OrtCUDAProviderOptionsV2 *cuda_options);
    struct OrtStatus *(*CreateCUDAProviderOptions)(struct OrtCUDAProviderOptionsV2 **out);
    struct OrtStatus *(*UpdateCUDAProviderOptions)(struct OrtCUDAProviderOptionsV2 *cuda_options,
                                                   const char *const *provider_options_keys,
                                                   const char *const *provider_options_values,
                                                   size_t num_keys);
    ort_unused_fn unused_207[1];
    void (*ReleaseCUDAProviderOptions)(struct OrtCUDAProviderOptionsV2 *input);
    ort_unused_fn unused_209[43];
    struct OrtStatus *(*GetResizedStringTensorElementBuffer)(struct OrtValue *value, size_t index,
                                                             size_t length_in_bytes, char **buffer);
    ort_unused_fn unused_253[40];
    struct OrtStatus *(*SessionOptionsSetLoadCancellationFlag)(struct OrtSessionOptions *options,
                                                               bool cancel);
    const struct OrtCompileApi *(*GetCompileApi)(void);
    ort_unused_fn unused_295[23];
    struct OrtStatus *(*GetTensorSizeInBytes)(const struct OrtValue *ort_value, size_t *size);
    ort_unused_fn unused_319[70];
    struct OrtStatus *(*CreateExternalInitializerInfo)(const char *filepath, int64_t file_offset,
                                                       size_t byte_size,
                                                       struct OrtExternalInitializerInfo **out);
    ort_unused_fn unused_390[24];
    /* From ORT_API_WANTED on: an older table ends before. */
    struct OrtStatus *(*GetTensorElementTypeAndShapeDataReference)(const struct OrtValue *value,
                                                                   int32_t *element_type,
                                                                   const int64_t **shape_data,
                                                                   size_t *shape_data_count);
};

#define ORT_SLOT(name, number) \
    _Static_assert(offsetof(struct OrtApi, name) == (number) * sizeof(void (*)(void)), #name)
ORT_SLOT(CreateStatus, 0);
ORT_SLOT(GetErrorCode, 1);
ORT_SLOT(GetErrorMessage, 2);
ORT_SLOT(CreateSession, 7);
ORT_SLOT(CreateSessionFromArray, 8);
ORT_SLOT(Run, 9);
ORT_SLOT(CreateSessionOptions, 10);
ORT_SLOT(SetSessionExecutionMode, 13);
ORT_SLOT(EnableMemPattern, 16);
ORT_SLOT(DisableMemPattern, 17);
ORT_SLOT(EnableCpuMemArena, 18);
ORT_SLOT(DisableCpuMemArena, 19);
ORT_SLOT(SetSessionLogSeverityLevel, 22);
ORT_SLOT(SetSessionGraphOptimizationLevel, 23);
ORT_SLOT(SetIntraOpNumThreads, 24);
ORT_SLOT(SetInterOpNumThreads, 25);
ORT_SLOT(SessionGetInputCount, 30);
ORT_SLOT(SessionGetOutputCount, 31);
ORT_SLOT(SessionGetOverridableInitializerCount, 32);
ORT_SLOT(SessionGetInputTypeInfo, 33);
ORT_SLOT(SessionGetOutputTypeInfo, 34);
ORT_SLOT(SessionGetOverridableInitializerTypeInfo, 35);
ORT_SLOT(SessionGetInputName, 36);
ORT_SLOT(SessionGetOutputName, 37);
ORT_SLOT(SessionGetOverridableInitializerName, 38);
ORT_SLOT(CreateRunOptions, 39);
ORT_SLOT(RunOptionsSetRunLogSeverityLevel, 41);
ORT_SLOT(RunOptionsSetTerminate, 46);
ORT_SLOT(RunOptionsUnsetTerminate, 47);
ORT_SLOT(CreateTensorAsOrtValue, 48);
ORT_SLOT(CreateTensorWithDataAsOrtValue, 49);
ORT_SLOT(GetTensorMutableData, 51);
ORT_SLOT(GetStringTensorDataLength, 53);
ORT_SLOT(GetStringTensorContent, 54);
ORT_SLOT(CastTypeInfoToTensorInfo, 55);
ORT_SLOT(GetOnnxTypeFromTypeInfo, 56);
ORT_SLOT(GetTensorElementType, 60);
ORT_SLOT(GetDimensionsCount, 61);
ORT_SLOT(GetDimensions, 62);
ORT_SLOT(GetSymbolicDimensions, 63);
ORT_SLOT(GetTensorShapeElementCount, 64);
ORT_SLOT(GetTensorTypeAndShape, 65);
ORT_SLOT(CreateCpuMemoryInfo, 69);
ORT_SLOT(AllocatorFree, 76);
ORT_SLOT(GetAllocatorWithDefaultOptions, 78);
ORT_SLOT(GetValue, 80);
ORT_SLOT(GetValueCount, 81);
ORT_SLOT(ReleaseEnv, 92);
ORT_SLOT(ReleaseStatus, 93);
ORT_SLOT(ReleaseMemoryInfo, 94);
ORT_SLOT(ReleaseSession, 95);
ORT_SLOT(ReleaseValue, 96);
ORT_SLOT(ReleaseRunOptions, 97);
ORT_SLOT(ReleaseTypeInfo, 98);
ORT_SLOT(ReleaseTensorTypeAndShapeInfo, 99);
ORT_SLOT(ReleaseSessionOptions, 100);
ORT_SLOT(CastTypeInfoToMapTypeInfo, 103);
ORT_SLOT(CastTypeInfoToSequenceTypeInfo, 104);
ORT_SLOT(GetMapKeyType, 105);
ORT_SLOT(GetMapValueType, 106);
ORT_SLOT(GetSequenceElementType, 107);
ORT_SLOT(DisablePerSessionThreads, 120);
ORT_SLOT(CreateThreadingOptions, 121);
ORT_SLOT(ReleaseThreadingOptions, 122);
ORT_SLOT(AddSessionConfigEntry, 130);
ORT_SLOT(SetGlobalIntraOpNumThreads, 147);
ORT_SLOT(SetGlobalInterOpNumThreads, 148);
ORT_SLOT(SetGlobalSpinControl, 149);
ORT_SLOT(AddInitializer, 150);
ORT_SLOT(CreateEnvWithCustomLoggerAndGlobalThreadPools, 151);
ORT_SLOT(AddRunConfigEntry, 165);
ORT_SLOT(RegisterAllocator, 176);
ORT_SLOT(UnregisterAllocator, 177);
ORT_SLOT(SessionOptionsAppendExecutionProvider_CUDA_V2, 204);
ORT_SLOT(CreateCUDAProviderOptions, 205);
ORT_SLOT(UpdateCUDAProviderOptions, 206);
ORT_SLOT(ReleaseCUDAProviderOptions, 208);
ORT_SLOT(GetResizedStringTensorElementBuffer, 252);
ORT_SLOT(SessionOptionsSetLoadCancellationFlag, 293);
ORT_SLOT(GetCompileApi, 294);
ORT_SLOT(GetTensorSizeInBytes, 318);
ORT_SLOT(CreateExternalInitializerInfo, 389);
ORT_SLOT(GetTensorElementTypeAndShapeDataReference, 414);
#undef ORT_SLOT

/* OrtWriteBufferFunc, OrtGetInitializerLocationFunc */
typedef struct OrtStatus *(*ort_write_fn)(void *state, const void *buffer, size_t buffer_num_bytes);
typedef struct OrtStatus *(*ort_place_fn)(void *state, const char *initializer_name,
                                          const struct OrtValue *initializer_value,
                                          const struct OrtExternalInitializerInfo *external_info,
                                          struct OrtExternalInitializerInfo **new_external_info);

/* OrtCompileApi, whole. */
struct OrtCompileApi {
    void (*ReleaseModelCompilationOptions)(struct OrtModelCompilationOptions *object);
    struct OrtStatus *(*CreateModelCompilationOptionsFromSessionOptions)(
        const struct OrtEnv *env, const struct OrtSessionOptions *session_options,
        struct OrtModelCompilationOptions **out);
    struct OrtStatus *(*ModelCompilationOptions_SetInputModelPath)(
        struct OrtModelCompilationOptions *options, const char *input_model_path);
    ort_unused_fn unused_3[5];
    struct OrtStatus *(*CompileModel)(const struct OrtEnv *env,
                                      const struct OrtModelCompilationOptions *options);
    ort_unused_fn unused_9[2];
    struct OrtStatus *(*ModelCompilationOptions_SetGraphOptimizationLevel)(
        struct OrtModelCompilationOptions *options, int32_t graph_optimization_level);
    struct OrtStatus *(*ModelCompilationOptions_SetOutputModelWriteFunc)(
        struct OrtModelCompilationOptions *options, ort_write_fn write, void *state);
    struct OrtStatus *(*ModelCompilationOptions_SetOutputModelGetInitializerLocationFunc)(
        struct OrtModelCompilationOptions *options, ort_place_fn place, void *state);
};
_Static_assert(offsetof(struct OrtCompileApi, CompileModel) == 8 * sizeof(void (*)(void)),
               "CompileModel");
_Static_assert(sizeof(struct OrtCompileApi) == 14 * sizeof(void (*)(void)), "OrtCompileApi");

struct OrtApiBase {
    const struct OrtApi *(*GetApi)(uint32_t version); /* NULL: this library is older */
    const char *(*GetVersionString)(void);
};

#endif
