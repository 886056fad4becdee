// The mean over the sites of each image. Twin: fcmae_kernels::pool.
#include "columns.h"
#include "device.h"

// out [N, C] = the sums of parts [N, chunks, C], those of `column_sums`, over `sites`.
template <class T>
__global__ void pool_means(Span<const float> parts, Span<T> out, int images, int chunks, int channels, int sites) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= images * channels) return;
    const u64 image = index / channels, channel = index % channels;
    out[index] = rounded<T>(sum_of_chunks(parts, chunks, image * chunks * channels + channel, channels) / sites);
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

KERNEL(pool_means<float>)
KERNEL(pool_means<bf16>)
KERNEL(pool_backward<float>)
KERNEL(pool_backward<bf16>)
