// The mean over the sites of each image. Twin: fcmae_kernels::pool.
#include "columns.h"
#include "device.h"

// parts [image, chunks, C]: sums of x [N, S, C] over the sites of each chunk of an image. blockIdx.z counts images.
template <class T>
__global__ void pool_sums(Span<const T> x, Span<float> parts, int sites, int channels, int rows_per_chunk) {
    constexpr int N = Pack<T>::N;
    const Columns columns(sites, channels, rows_per_chunk, N);
    float sums[1][N] = {};
    if (columns.inside) {
        for (int row = columns.first; row < columns.last; row += ROWS) {
            const Pack<T> pack = loaded<T>(x, (u64(blockIdx.z) * sites + row) * channels + columns.channel);
            for (int n = 0; n < N; ++n) sums[0][n] += widened(pack.values[n]);
        }
    }
    write_sums(columns, sums, parts, blockIdx.z * gridDim.y);
}

// out [N, C] = the sums of parts [N, chunks, C], over `sites`.
template <class T>
__global__ void pool_means(Span<const float> parts, Span<T> out, int images, int chunks, int channels, int sites) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= images * channels) return;
    const u64 image = index / channels, channel = index % channels;
    float sum = 0.0f;
    for (int chunk = 0; chunk < chunks; ++chunk) sum += parts[(image * chunks + chunk) * channels + channel];
    out[index] = rounded<T>(sum / sites);
}

// out [N, S, C] = grad [N, C] / S at every site.
template <class T>
__global__ void pool_backward(Span<const T> grad, Span<T> out, int sites, int channels, u64 values) {
    constexpr int N = Pack<T>::N;
    const u64 at = (u64(blockIdx.x) * blockDim.x + threadIdx.x) * N;
    if (at >= values) return;
    const u64 image = at / (u64(sites) * channels);
    Pack<T> pack = loaded<T>(grad, image * channels + at % channels);
    for (int n = 0; n < N; ++n) pack.values[n] = rounded<T>(widened(pack.values[n]) / sites);
    store(pack, out, at);
}

KERNEL(pool_sums<float>)
KERNEL(pool_sums<bf16>)
KERNEL(pool_means<float>)
KERNEL(pool_means<bf16>)
KERNEL(pool_backward<float>)
KERNEL(pool_backward<bf16>)
