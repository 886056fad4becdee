// Pixels as the network takes them. Twin: fcmae_data's normalization.
#include "device.h"

typedef unsigned char u8;

// out [pixels, C] = (value / 255 − mean) / std, by channel. No product is next to a sum, so that nothing can be
// fused: the bits are the CPU's.
__global__ void normalize(Span<const u8> pixels, Span<const float> mean, Span<const float> deviation,
                          Span<float> out, int channels, u64 values) {
    const u64 at = u64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= values) return;
    const int channel = int(at % channels);
    out[at] = (float(pixels[at]) / 255.0f - mean[channel]) / deviation[channel];
}

// Noise over boxes of images [N, height, width, C]. Each of `boxes [K, 6]` is (picture, top, left, height, width, the
// first of its values in `noise`); a column of the grid has one of them.
__global__ void erase(Span<const int> boxes, Span<const float> noise, Span<float> images, int height, int width,
                      int channels) {
    const u64 at = u64(blockIdx.x) * blockDim.x + threadIdx.x, box = u64(blockIdx.y) * 6;
    const u64 row_values = u64(boxes[box + 4]) * channels;
    if (at >= boxes[box + 3] * row_values) return;
    const u64 row = u64(boxes[box]) * height + boxes[box + 1] + at / row_values;
    const u64 first = (row * width + boxes[box + 2]) * channels;
    images[first + at % row_values] = noise[boxes[box + 5] + at];
}

// Each of `count` pictures times `own`, plus `other` times its partner: the picture as far from the end as this is from
// the start. A thread has a value of a picture of the first half, and its partner's. Rounded in between, as on the CPU.
__global__ void mix_up(Span<float> images, u64 count, u64 picture_values, float own, float other) {
    const u64 at = u64(blockIdx.x) * blockDim.x + threadIdx.x;
    const u64 picture = at / picture_values, partner = count - 1 - picture;
    if (picture > partner || picture >= count) return;
    const u64 there = partner * picture_values + at % picture_values;
    const float a = images[at], b = images[there];
    images[at] = __fadd_rn(__fmul_rn(a, own), __fmul_rn(b, other));
    if (there != at) images[there] = __fadd_rn(__fmul_rn(b, own), __fmul_rn(a, other));
}

// The same box of each picture and its partner, exchanged. Rows of the box have `row_values` values, the first of them
// at `first` of a picture, and `stride` from one row to the next.
__global__ void mix_cut(Span<float> images, u64 count, u64 picture_values, u64 first, u64 row_values, u64 rows,
                        u64 stride) {
    const u64 at = u64(blockIdx.x) * blockDim.x + threadIdx.x;
    const u64 picture = at / (row_values * rows), within = at % (row_values * rows);
    if (picture >= count / 2) return;
    const u64 place = first + within / row_values * stride + within % row_values;
    const u64 here = picture * picture_values + place, there = (count - 1 - picture) * picture_values + place;
    const float a = images[here];
    images[here] = images[there];
    images[there] = a;
}

// Each value in the other type, to nearest.
template <class From, class To>
__global__ void converted(Span<const From> x, Span<To> out, u64 values) {
    const u64 at = u64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at < values) out[at] = rounded<To>(widened(x[at]));
}

KERNEL(normalize)
KERNEL(erase)
KERNEL(mix_up)
KERNEL(mix_cut)
KERNEL(converted<float, bf16>)
KERNEL(converted<bf16, float>)
