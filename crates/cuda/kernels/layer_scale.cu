// V1's layer scale: a factor for each row of a layer's weight. Twins: fcmae_kernels::rows::scale, scale_backward.
#include "device.h"

// out [O, width] = x · scale, a factor for each row; with `add` plus what is there.
template <class T>
__global__ void scale_rows(Span<const float> x, Span<const float> scale, Span<T> out, int width, u64 values, int add) {
    const u64 at = u64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= values) return;
    const float scaled = x[at] * scale[at / width];
    out[at] = rounded<T>(add ? widened(out[at]) + scaled : scaled);
}

// out [O]: of each row the sum of weight · by_weight, plus bias · by_bias; with `add` plus what is there. A block has
// a row.
__global__ void scale_rows_sums(Span<const float> weight, Span<const float> by_weight, Span<const float> bias,
                                Span<const float> by_bias, Span<float> out, int width, int add) {
    const u64 start = u64(blockIdx.x) * width;
    float sum = 0.0f;
    for (int c = threadIdx.x; c < width; c += blockDim.x) sum += weight[start + c] * by_weight[start + c];
    const float total = block_sum(sum) + bias[blockIdx.x] * by_bias[blockIdx.x];
    if (threadIdx.x == 0) out[blockIdx.x] = add ? out[blockIdx.x] + total : total;
}

KERNEL(scale_rows<float>)
KERNEL(scale_rows<bf16>)
KERNEL(scale_rows_sums)
