// GELU and global response normalization of a block's 4C features. Twin: fcmae_kernels::grn.
//
// With h = gelu(x) of one image, [S, H]: G_c = √(Σ over sites of h_c²), N_c = G_c / (mean of G + eps),
// out = h · (1 + gamma · N) + beta. x is read again wherever h is needed: to compute it costs less than to keep
// it.
#include "columns.h"
#include "device.h"

constexpr float HALF_ROOT = 0.70710678f;         // 1/√2
constexpr float DENSITY_AT_ZERO = 0.39894228f;   // 1/√(2π)

inline __device__ float distribution(float x) { return 0.5f + 0.5f * erff(x * HALF_ROOT); }

inline __device__ float gelu(float x) { return x * distribution(x); }

inline __device__ float gelu_slope(float x) {
    return distribution(x) + x * DENSITY_AT_ZERO * expf(-0.5f * x * x);
}

template <class T>
__global__ void gelu_forward(Span<const T> x, Span<T> out, u64 values) {
    constexpr int N = Pack<T>::N;
    const u64 at = (u64(blockIdx.x) * blockDim.x + threadIdx.x) * N;
    if (at >= values) return;
    Pack<T> pack = loaded<T>(x, at);
    for (int n = 0; n < N; ++n) pack.values[n] = rounded<T>(gelu(widened(pack.values[n])));
    store(pack, out, at);
}

template <class T>
__global__ void gelu_backward(Span<const T> x, Span<const T> grad, Span<T> dx, u64 values) {
    constexpr int N = Pack<T>::N;
    const u64 at = (u64(blockIdx.x) * blockDim.x + threadIdx.x) * N;
    if (at >= values) return;
    Pack<T> pack = loaded<T>(x, at);
    const Pack<T> grads = loaded<T>(grad, at);
    for (int n = 0; n < N; ++n) {
        pack.values[n] = rounded<T>(widened(grads.values[n]) * gelu_slope(widened(pack.values[n])));
    }
    store(pack, dx, at);
}

// parts [image, chunks, H]: the sums of h² over the sites of each chunk of an image. blockIdx.z counts images.
template <class T>
__global__ void gelu_squares(Span<const T> x, Span<float> parts, int sites, int channels, int rows_per_chunk) {
    constexpr int N = Pack<T>::N;
    const Columns columns(sites, channels, rows_per_chunk, N);
    float sums[1][N] = {};
    columns.each([&](int, u64 at) {
        const Pack<T> pack = loaded<T>(x, at);
        for (int n = 0; n < N; ++n) {
            const float h = gelu(widened(pack.values[n]));
            sums[0][n] += h * h;
        }
    });
    write_sums(columns, sums, parts);
}

// The sum over the parts [chunks] of one channel of an image, `sum` of `sums` each has.
inline __device__ float image_sum(Span<const float> parts, int chunks, int channels, int c, int sum, int sums) {
    const u64 first = (u64(blockIdx.x) * chunks * sums + sum) * channels + c;
    return sum_of_chunks(parts, chunks, first, u64(sums) * channels);
}

// squares [N, H] and response [N, H], 1 + gamma · N, from the parts of `gelu_squares`. A block has an image.
__global__ void grn_response(Span<const float> parts, Span<const float> gamma, Span<float> squares,
                             Span<float> response, int chunks, int channels, float eps) {
    const u64 image = u64(blockIdx.x) * channels;
    float sum = 0.0f;
    for (int c = threadIdx.x; c < channels; c += blockDim.x) {
        const float square = image_sum(parts, chunks, channels, c, 0, 1);
        squares[image + c] = square;
        sum += sqrtf(square);
    }
    const float scale = 1.0f / (block_sum(sum) / channels + eps);
    for (int c = threadIdx.x; c < channels; c += blockDim.x) {
        response[image + c] = 1.0f + gamma[c] * (sqrtf(squares[image + c]) * scale);
    }
}

// out = h · response + beta; a row has one of `sites` sites.
template <class T>
__global__ void grn_respond(Span<const T> x, Span<const float> response, Span<const float> beta, Span<T> out,
                            int rows, int sites, int channels) {
    constexpr int N = Pack<T>::N;
    const auto [row, c] = row_place<N>(channels);
    if (row >= u64(rows)) return;
    const u64 image = row / sites * channels;
    Pack<T> pack = loaded<T>(x, row * channels + c);
    for (int n = 0; n < N; ++n) {
        const float h = gelu(widened(pack.values[n]));
        pack.values[n] = rounded<T>(h * response[image + c + n] + beta[c + n]);
    }
    store(pack, out, row * channels + c);
}

// parts [image, chunks, 2, H]: D = Σ grad · h and Σ grad over the sites of each chunk of an image.
template <class T>
__global__ void grn_sums(Span<const T> x, Span<const T> grad, Span<float> parts, int sites, int channels,
                         int rows_per_chunk) {
    constexpr int N = Pack<T>::N;
    const Columns columns(sites, channels, rows_per_chunk, N);
    float sums[2][N] = {};
    columns.each([&](int, u64 at) {
        const Pack<T> values = loaded<T>(x, at), grads = loaded<T>(grad, at);
        for (int n = 0; n < N; ++n) {
            const float g = widened(grads.values[n]);
            sums[0][n] += g * gelu(widened(values.values[n]));
            sums[1][n] += g;
        }
    });
    write_sums(columns, sums, parts);
}

// Of each image, from the parts of `grn_sums`: response and along [N, H], what grad and h are multiplied with in
// the gradient by h; and by_weights [N, 2, H], the image's part of the gradients by gamma and beta.
//
// along = dG / G with dG_c = gamma_c · D_c / m − (Σ over channels of gamma · D · N) / (H · m), m = mean of G + eps;
// where a channel is zero at all sites, the norm's subgradient 0 is taken.
__global__ void grn_along(Span<const float> parts, Span<const float> squares, Span<const float> gamma,
                          Span<float> response, Span<float> along, Span<float> by_weights, int chunks, int channels,
                          float eps) {
    const u64 image = u64(blockIdx.x) * channels;
    float sum = 0.0f;
    for (int c = threadIdx.x; c < channels; c += blockDim.x) sum += sqrtf(squares[image + c]);
    const float scale = 1.0f / (block_sum(sum) / channels + eps);
    float weighted = 0.0f;
    for (int c = threadIdx.x; c < channels; c += blockDim.x) {
        const float product = image_sum(parts, chunks, channels, c, 0, 2);
        const float normalized = sqrtf(squares[image + c]) * scale;
        by_weights[2 * image + c] = product * normalized;
        by_weights[2 * image + channels + c] = image_sum(parts, chunks, channels, c, 1, 2);
        response[image + c] = 1.0f + gamma[c] * normalized;
        // The product itself, until the sum over channels is known.
        along[image + c] = product;
        weighted += gamma[c] * product * normalized;
    }
    const float shared = block_sum(weighted) / channels * scale;
    for (int c = threadIdx.x; c < channels; c += blockDim.x) {
        const float norm = sqrtf(squares[image + c]);
        along[image + c] = norm == 0.0f ? 0.0f : (gamma[c] * along[image + c] * scale - shared) / norm;
    }
}

// dx = (grad · response + h · along) · gelu'(x)
template <class T>
__global__ void grn_input(Span<const T> x, Span<const T> grad, Span<const float> response, Span<const float> along,
                          Span<T> dx, int rows, int sites, int channels) {
    constexpr int N = Pack<T>::N;
    const auto [row, c] = row_place<N>(channels);
    if (row >= u64(rows)) return;
    const u64 image = row / sites * channels;
    const Pack<T> values = loaded<T>(x, row * channels + c), grads = loaded<T>(grad, row * channels + c);
    Pack<T> out;
    for (int n = 0; n < N; ++n) {
        const float value = widened(values.values[n]);
        const float by_h =
            widened(grads.values[n]) * response[image + c + n] + gelu(value) * along[image + c + n];
        out.values[n] = rounded<T>(by_h * gelu_slope(value));
    }
    store(out, dx, row * channels + c);
}

KERNEL(gelu_forward<float>)
KERNEL(gelu_forward<bf16>)
KERNEL(gelu_backward<float>)
KERNEL(gelu_backward<bf16>)
KERNEL(gelu_squares<float>)
KERNEL(gelu_squares<bf16>)
KERNEL(grn_response)
KERNEL(grn_respond<float>)
KERNEL(grn_respond<bf16>)
KERNEL(grn_sums<float>)
KERNEL(grn_sums<bf16>)
KERNEL(grn_along)
KERNEL(grn_input<float>)
KERNEL(grn_input<bf16>)
