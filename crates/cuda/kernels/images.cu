// Pixels as the network takes them. Twin: fcmae_data's normalization.
#include "device.h"

typedef unsigned char u8;

// out [pixels, C] = (value / 255 − mean) / std, by channel. No product is next to a sum, so that nothing can be
// fused: in float32 the bits are the CPU's.
template <class T>
__global__ void normalize(Span<const u8> pixels, Span<const float> mean, Span<const float> deviation, Span<T> out,
                          int channels, u64 values) {
    const u64 at = u64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= values) return;
    const int channel = int(at % channels);
    out[at] = rounded<T>((float(pixels[at]) / 255.0f - mean[channel]) / deviation[channel]);
}

// Each value in the other type, to nearest.
template <class From, class To>
__global__ void converted(Span<const From> x, Span<To> out, u64 values) {
    const u64 at = u64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at < values) out[at] = rounded<To>(widened(x[at]));
}

KERNEL(normalize<float>)
KERNEL(normalize<bf16>)
KERNEL(converted<float, bf16>)
KERNEL(converted<bf16, float>)
