// Windows of k × k sites to the channels of one, and a convolution's weight in their order.
// Twin: fcmae_kernels::space_to_depth.
#include "device.h"

// [P, h, w, C] → [P, h/k, w/k, k·k·C], the values of a window by (row, column, channel). BACK is the inverse; the
// sizes are those before. Each thread moves one value.
template <class T, bool BACK>
__global__ void space_to_depth(Span<const T> x, Span<T> out, int width, int channels, int window,
                               u64 values) {
    const u64 index = u64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (index >= values) return;
    // The value's place among the windows.
    u64 rest = index;
    const u64 channel = rest % channels;
    rest /= channels;
    const u64 column = rest % window;
    rest /= window;
    const u64 row = rest % window;
    rest /= window;
    const u64 across = rest % (width / window);
    // Planes and rows of windows follow each other in both.
    const u64 down = rest / (width / window);
    const u64 site = (down * window + row) * width + across * window + column;
    const u64 plain = site * channels + channel;
    if (BACK) {
        out[plain] = x[index];
    } else {
        out[index] = x[plain];
    }
}

// Each [rows, columns] of x transposed, rounded to the type of the products' operands: a weight [O, I, k·k] in the
// order of windows. Also back, and without turning (columns 1) a weight as it is.
template <class From, class To>
__global__ void transposed(Span<const From> x, Span<To> out, int rows, int columns, u64 values) {
    const u64 index = u64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (index >= values) return;
    const u64 matrix = u64(rows) * columns, within = index % matrix;
    const u64 from = index - within + within % rows * columns + within / rows;
    out[index] = rounded<To>(widened(x[from]));
}

KERNEL(space_to_depth<float, false>)
KERNEL(space_to_depth<float, true>)
KERNEL(space_to_depth<bf16, false>)
KERNEL(space_to_depth<bf16, true>)
KERNEL(transposed<float, float>)
KERNEL(transposed<float, bf16>)
