// Sums over the rows of a matrix, in two steps of fixed order: parts of the rows by `column_sums` and the kernels
// of other files that end with `write_sums`, then the parts by `sum_parts`.
#include "device.h"
#include "columns.h"

// parts [chunks, C]: the sums of x [R, C] over the rows of each chunk. The gradient by a bias.
// Twin: fcmae_kernels::linear::backward_weight.
template <class T>
__global__ void column_sums(Span<const T> x, Span<float> parts, int rows, int channels, int rows_per_chunk) {
    const Columns columns(rows, channels, rows_per_chunk, Pack<T>::N);
    float sums[1][Pack<T>::N] = {};
    if (columns.inside) {
        for (int row = columns.first; row < columns.last; row += ROWS) {
            const Pack<T> pack = loaded<T>(x, u64(row) * channels + columns.channel);
            for (int n = 0; n < Pack<T>::N; ++n) sums[0][n] += widened(pack.values[n]);
        }
    }
    write_sums(columns, sums, parts, 0);
}

// out [values] = or += the sum over chunks of parts [chunks, values], in the order of the chunks.
__global__ void sum_parts(Span<const float> parts, Span<float> out, int chunks, int values, int add) {
    const int value = blockIdx.x * blockDim.x + threadIdx.x;
    if (value >= values) return;
    float sum = add ? out[value] : 0.0f;
    for (int chunk = 0; chunk < chunks; ++chunk) sum += parts[u64(chunk) * values + value];
    out[value] = sum;
}

KERNEL(column_sums<float>)
KERNEL(column_sums<bf16>)
KERNEL(sum_parts)
