// The end of a block: shortcut + drop path(branch). Twin: fcmae_kernels::residual.
//
// Features [N, S, C], one scale an image; `values` of an image is a multiple of a pack. A dropped branch isn't
// read, so that nothing it holds can reach the result.
#include "device.h"

template <class T>
__global__ void residual_forward(Span<const T> shortcut, Span<const T> branch, Span<const float> scale, Span<T> out,
                                 u64 values, u64 values_of_image) {
    constexpr int N = Pack<T>::N;
    const u64 at = (u64(blockIdx.x) * blockDim.x + threadIdx.x) * N;
    if (at >= values) return;
    const float factor = scale.is_empty() ? 1.0f : scale[at / values_of_image];
    Pack<T> pack = loaded<T>(shortcut, at);
    if (factor != 0.0f) {
        const Pack<T> more = loaded<T>(branch, at);
        for (int n = 0; n < N; ++n) {
            pack.values[n] = rounded<T>(widened(pack.values[n]) + factor * widened(more.values[n]));
        }
    }
    store(pack, out, at);
}

template <class T>
__global__ void residual_backward(Span<const T> grad, Span<const float> scale, Span<T> out, u64 values,
                                  u64 values_of_image) {
    constexpr int N = Pack<T>::N;
    const u64 at = (u64(blockIdx.x) * blockDim.x + threadIdx.x) * N;
    if (at >= values) return;
    const float factor = scale[at / values_of_image];
    Pack<T> pack = loaded<T>(grad, at);
    for (int n = 0; n < N; ++n) {
        pack.values[n] = rounded<T>(factor == 0.0f ? 0.0f : factor * widened(pack.values[n]));
    }
    store(pack, out, at);
}

KERNEL(residual_forward<float>)
KERNEL(residual_forward<bf16>)
KERNEL(residual_backward<float>)
KERNEL(residual_backward<bf16>)
