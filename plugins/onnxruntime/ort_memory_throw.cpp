/* onnxruntime/ort_memory_throw.cpp - the one thing that C cannot say.
 *
 * ONNX Runtime checks what an allocator returns while it loads, but not while it runs: a NULL is
 * written to.  Its own allocator throws std::bad_alloc, every entry of its C interface catches
 * that, and so ours has to throw as well. */
#include <new>

extern "C" [[noreturn]] void ort_memory_throw(void);

void ort_memory_throw(void)
{
    throw std::bad_alloc();
}
