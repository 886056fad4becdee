// Rows of a matrix: chosen, given gradients, standardized; how far two matrices are apart, by value and by direction.
// Twins: fcmae_kernels::rows, fcmae_kernels::cosine.
#include "device.h"

// out [K, width]: out[k] = x[rows[k]], x [R, width]; the row R is `filler` [width]. Each thread moves a pack.
template <class T>
__global__ void select_rows(Span<const T> x, Span<const int> chosen, Span<const float> filler, Span<T> out, int rows,
                            int count, int width) {
    constexpr int N = Pack<T>::N;
    const auto [k, c] = row_place<N>(width);
    if (k >= u64(count)) return;
    const int row = chosen[k];
    Pack<T> pack;
    if (row < rows) {
        pack = loaded<T>(x, u64(row) * width + c);
    } else {
        for (int n = 0; n < N; ++n) pack.values[n] = rounded<T>(filler[c + n]);
    }
    store(pack, out, k * width + c);
}

// out [R, width]: each row is the sum of the rows of grad [K, width] that were chosen from it, which `sources` lists
// from starts[r] to starts[r + 1], in that order.
template <class T>
__global__ void select_rows_backward(Span<const T> grad, Span<const int> starts, Span<const int> sources, Span<T> out,
                                     int rows, int width) {
    constexpr int N = Pack<T>::N;
    const auto [row, c] = row_place<N>(width);
    if (row >= u64(rows)) return;
    float sums[N] = {};
    for (int place = starts[row]; place < starts[row + 1]; ++place) {
        const Pack<T> pack = loaded<T>(grad, u64(sources[place]) * width + c);
        for (int n = 0; n < N; ++n) sums[n] += widened(pack.values[n]);
    }
    Pack<T> pack;
    for (int n = 0; n < N; ++n) pack.values[n] = rounded<T>(sums[n]);
    store(pack, out, row * width + c);
}

// parts [chunks, width]: the sums of the chosen rows of grad that `sources` lists, chunk by chunk: the gradient by
// the filler. A thread has a column.
template <class T>
__global__ void filler_sums(Span<const T> grad, Span<const int> sources, Span<float> parts, int first, int count,
                            int width, int rows_per_chunk) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= width) return;
    const int start = blockIdx.y * rows_per_chunk, end = min(start + rows_per_chunk, count);
    float sum = 0.0f;
    for (int place = start; place < end; ++place) {
        sum += widened(grad[u64(sources[first + place]) * width + column]);
    }
    parts[u64(blockIdx.y) * width + column] = sum;
}

// Each row of x [R, width] minus its mean, over √(unbiased variance + eps). A block has a row.
__global__ void standardize_rows(Span<const float> x, Span<float> out, int width, float eps) {
    const u64 start = u64(blockIdx.x) * width;
    float sum = 0.0f;
    for (int c = threadIdx.x; c < width; c += blockDim.x) sum += x[start + c];
    const float mean = block_sum(sum) / width;
    float squares = 0.0f;
    for (int c = threadIdx.x; c < width; c += blockDim.x) {
        const float centred = x[start + c] - mean;
        squares += centred * centred;
    }
    const float scale = 1.0f / sqrtf(block_sum(squares) / max(width - 1, 1) + eps);
    for (int c = threadIdx.x; c < width; c += blockDim.x) out[start + c] = (x[start + c] - mean) * scale;
}

// parts [blocks]: the sums of (a − b)² of each block's values; grad = factor · (a − b), where it is
// wanted: 2 / values for that of the mean.
template <class T>
__global__ void squared_difference(Span<const T> a, Span<const float> b, Span<double> parts, Span<T> grad,
                                   u64 values, float factor) {
    // So few to a thread that their sum in float32 loses nothing that matters.
    float sum = 0.0f;
    const u64 step = u64(gridDim.x) * blockDim.x;
    for (u64 at = u64(blockIdx.x) * blockDim.x + threadIdx.x; at < values; at += step) {
        const float difference = widened(a[at]) - b[at];
        sum += difference * difference;
        if (!grad.is_empty()) grad[at] = rounded<T>(factor * difference);
    }
    const float total = block_sum(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = total;
}

// parts [R]: 1 − cos(a[r], b[r]) of each row of [R, width], 1 where a row is zero;
// grad = factor · its gradient by a, where it is wanted: with 1 / R, that of the mean. A block has a row.
template <class T>
__global__ void cosine_distance(Span<const T> a, Span<const float> b, Span<double> parts, Span<T> grad, int width,
                                float factor) {
    const u64 start = u64(blockIdx.x) * width;
    float ab = 0.0f, aa = 0.0f, bb = 0.0f;
    for (int c = threadIdx.x; c < width; c += blockDim.x) {
        const float x = widened(a[start + c]), y = b[start + c];
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    ab = block_sum(ab);
    aa = block_sum(aa);
    bb = block_sum(bb);
    const float lengths = sqrtf(aa) * sqrtf(bb);
    const float cosine = lengths == 0.0f ? 0.0f : ab / lengths;
    if (threadIdx.x == 0) parts[blockIdx.x] = 1.0 - cosine;
    if (grad.is_empty()) return;
    const float of_a = lengths == 0.0f ? 0.0f : factor * cosine / aa;
    const float of_b = lengths == 0.0f ? 0.0f : -factor / lengths;
    for (int c = threadIdx.x; c < width; c += blockDim.x) {
        grad[start + c] = rounded<T>(of_a * widened(a[start + c]) + of_b * b[start + c]);
    }
}

// out[0] = factor · Σ parts, in their order, in double precision.
__global__ void scaled_sum(Span<const double> parts, Span<float> out, int count, double factor) {
    if (blockIdx.x > 0 || threadIdx.x > 0) return;
    double sum = 0.0;
    for (int part = 0; part < count; ++part) sum += parts[part];
    out[0] = float(factor * sum);
}

KERNEL(select_rows<float>)
KERNEL(select_rows<bf16>)
KERNEL(select_rows_backward<float>)
KERNEL(select_rows_backward<bf16>)
KERNEL(filler_sums<float>)
KERNEL(filler_sums<bf16>)
KERNEL(standardize_rows)
KERNEL(squared_difference<float>)
KERNEL(squared_difference<bf16>)
KERNEL(cosine_distance<float>)
KERNEL(cosine_distance<bf16>)
KERNEL(scaled_sum)
