/* tests/conformance/fake_cuda.h - a machine with GPUs, for tests: what can be asked of it.
 * The folder tests/fake_cuda of a build holds a libonnxruntime.so that passes everything on to the
 * real one, but for what concerns CUDA: sessions that ask for it run on the CPU and are counted by
 * device.  Its driver, libcuda.so.1, shows as many GPUs as the environment TRP_FAKE_GPUS says (two;
 * negative: it answers with an error).  tests/fake_cuda_broken holds the same with a provider
 * that the linker cannot open. */
#ifndef TRP_FAKE_CUDA_H
#define TRP_FAKE_CUDA_H

#include <stdint.h>

#define FAKE_GPUS_MAX 8

/* Sessions open on a GPU, runs made there, and the options of the last session: "device_id=1
 * use_tf32=0". */
struct fake_cuda {
    uint32_t sessions[FAKE_GPUS_MAX], runs[FAKE_GPUS_MAX];
    char options[1024];
};

/* Exported by that libonnxruntime.so. */
typedef const struct fake_cuda *(*fake_cuda_look_fn)(void);

#endif
