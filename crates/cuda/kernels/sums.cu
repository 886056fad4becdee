// Sums over the rows of a matrix, in two steps of fixed order: parts of the rows by `column_sums` and the kernels
// of other files that end with `write_sums`, then the parts by `sum_parts`.
#include "columns.h"
#include "device.h"

// parts [image, chunks, C]: the sums of x [image, R, C] over the rows of each chunk. With all rows as one image, the
// gradient by a bias; else what the mean over sites is made of. N values to a thread: a pack, or 1 where C is no
// multiple of one, such as a number of classes. Twins: fcmae_kernels::linear::backward_weight, fcmae_kernels::pool.
template <class T, int N>
__global__ void column_sums(Span<const T> x, Span<float> parts, int rows, int channels, int rows_per_chunk) {
    static_assert(N == 1 || N == Pack<T>::N, "single values or packs");
    const Columns columns(rows, channels, rows_per_chunk, N);
    float sums[1][N] = {};
    columns.each([&](int, u64 at) {
        if constexpr (N == 1) {
            sums[0][0] += widened(x[at]);
        } else {
            const Pack<T> pack = loaded<T>(x, at);
            for (int n = 0; n < N; ++n) sums[0][n] += widened(pack.values[n]);
        }
    });
    write_sums(columns, sums, parts);
}

// out [values] = the sum over chunks of what begins at multiples of `stride` in parts, in the order of the chunks; with
// `add` after what is there.
__global__ void sum_parts(Span<const float> parts, Span<float> out, int chunks, int values, int stride, int add) {
    const int value = blockIdx.x * blockDim.x + threadIdx.x;
    if (value >= values) return;
    out[value] = sum_of_chunks(parts, chunks, value, stride, add ? out[value] : 0.0f);
}

KERNEL(column_sums<float, 1>)
KERNEL(column_sums<float, 4>)
KERNEL(column_sums<bf16, 1>)
KERNEL(column_sums<bf16, 8>)
KERNEL(sum_parts)
