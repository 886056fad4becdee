// Layer norm over channels: gamma · (x − mean) / √(variance + eps) + beta. Twin: fcmae_kernels::layer_norm.
//
// x, out, grad [R, C] with C a multiple of a pack; gamma, beta [C]. One warp has a row, whose values stay in the
// first-level cache between the three times that it reads them.
#include "columns.h"
#include "device.h"

// Mean and 1/√(variance + eps) of a row.
struct Moments {
    float mean, scale;
};

template <class T>
__device__ Moments moments(Span<const T> x, u64 start, int channels, float eps) {
    const int lane = threadIdx.x % WARP;
    constexpr int N = Pack<T>::N;
    float sum = 0.0f;
    for (int c = lane * N; c < channels; c += WARP * N) {
        const Pack<T> pack = loaded<T>(x, start + c);
        for (int n = 0; n < N; ++n) sum += widened(pack.values[n]);
    }
    const float mean = warp_sum(sum) / channels;
    float squares = 0.0f;
    for (int c = lane * N; c < channels; c += WARP * N) {
        const Pack<T> pack = loaded<T>(x, start + c);
        for (int n = 0; n < N; ++n) {
            const float centred = widened(pack.values[n]) - mean;
            squares += centred * centred;
        }
    }
    return {mean, 1.0f / sqrtf(warp_sum(squares) / channels + eps)};
}

template <class T>
__global__ void layer_norm(Span<const T> x, Span<const float> gamma, Span<const float> beta, Span<T> out, int rows,
                           int channels, float eps) {
    const int row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (row >= rows) return;
    const u64 start = u64(row) * channels;
    const Moments of = moments<T>(x, start, channels, eps);
    constexpr int N = Pack<T>::N;
    for (int c = threadIdx.x % WARP * N; c < channels; c += WARP * N) {
        Pack<T> pack = loaded<T>(x, start + c);
        for (int n = 0; n < N; ++n) {
            const float normal = (widened(pack.values[n]) - of.mean) * of.scale;
            pack.values[n] = rounded<T>(normal * gamma[c + n] + beta[c + n]);
        }
        store(pack, out, start + c);
    }
}

// dx, and the moments [R, 2] for the gradients by gamma and beta.
//
// With g = grad · gamma and n = (x − mean) · scale: dx = scale · (g − mean of g − n · mean of g · n).
template <class T>
__global__ void layer_norm_input(Span<const T> x, Span<const float> gamma, Span<const T> grad, Span<T> dx,
                                 Span<float> moments_of_rows, int rows, int channels, float eps) {
    const int row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (row >= rows) return;
    const u64 start = u64(row) * channels;
    const Moments of = moments<T>(x, start, channels, eps);
    const int lane = threadIdx.x % WARP;
    constexpr int N = Pack<T>::N;
    float sum = 0.0f, product = 0.0f;
    for (int c = lane * N; c < channels; c += WARP * N) {
        const Pack<T> values = loaded<T>(x, start + c), grads = loaded<T>(grad, start + c);
        for (int n = 0; n < N; ++n) {
            const float g = widened(grads.values[n]) * gamma[c + n];
            sum += g;
            product += g * (widened(values.values[n]) - of.mean) * of.scale;
        }
    }
    const float mean = warp_sum(sum) / channels, along = warp_sum(product) / channels;
    for (int c = lane * N; c < channels; c += WARP * N) {
        const Pack<T> values = loaded<T>(x, start + c), grads = loaded<T>(grad, start + c);
        Pack<T> out;
        for (int n = 0; n < N; ++n) {
            const float normal = (widened(values.values[n]) - of.mean) * of.scale;
            const float g = widened(grads.values[n]) * gamma[c + n];
            out.values[n] = rounded<T>(of.scale * (g - mean - normal * along));
        }
        store(out, dx, start + c);
    }
    if (lane == 0) {
        moments_of_rows[2 * u64(row)] = of.mean;
        moments_of_rows[2 * u64(row) + 1] = of.scale;
    }
}

// parts [chunks, 2, C]: the gradients by gamma and beta, of the rows of each chunk.
template <class T>
__global__ void layer_norm_weights(Span<const T> x, Span<const T> grad, Span<const float> moments_of_rows,
                                   Span<float> parts, int rows, int channels, int rows_per_chunk) {
    constexpr int N = Pack<T>::N;
    const Columns columns(rows, channels, rows_per_chunk, N);
    float sums[2][N] = {};
    columns.each([&](int row, u64 at) {
        const float mean = moments_of_rows[2 * u64(row)], scale = moments_of_rows[2 * u64(row) + 1];
        const Pack<T> values = loaded<T>(x, at), grads = loaded<T>(grad, at);
        for (int n = 0; n < N; ++n) {
            const float g = widened(grads.values[n]);
            sums[0][n] += g * (widened(values.values[n]) - mean) * scale;
            sums[1][n] += g;
        }
    });
    write_sums(columns, sums, parts);
}

KERNEL(layer_norm<float>)
KERNEL(layer_norm<bf16>)
KERNEL(layer_norm_input<float>)
KERNEL(layer_norm_input<bf16>)
KERNEL(layer_norm_weights<float>)
KERNEL(layer_norm_weights<bf16>)
