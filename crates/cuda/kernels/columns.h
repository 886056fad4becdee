// How a block sums over rows: 32 packs of channels beside each other, eight rows at a time.
#pragma once
#include "device.h"

constexpr int ROWS = 8;

// What a thread of a block of (32, ROWS) threads sums: blockIdx.x counts groups of 32 packs, blockIdx.y chunks of
// rows, blockIdx.z images of as many rows.
struct Columns {
    int rows, channels;
    // Of the thread's pack.
    int channel;
    // The rows first, first + ROWS, … below last.
    int first, last;
    bool inside;

    __device__ Columns(int rows, int channels, int rows_per_chunk, int pack) : rows(rows), channels(channels) {
        channel = (blockIdx.x * WARP + threadIdx.x) * pack;
        const int start = blockIdx.y * rows_per_chunk;
        first = start + threadIdx.y;
        last = min(start + rows_per_chunk, rows);
        inside = channel < channels;
    }

    // Calls `add` with each of the thread's rows of the image, and where its pack begins.
    template <class F>
    __device__ void each(F add) const {
        if (!inside) return;
        for (int row = first; row < last; row += ROWS) {
            add(row, (u64(blockIdx.z) * rows + row) * channels + channel);
        }
    }
};

// Adds the sums of a block's ROWS threads for each pack, in their order, and writes them to
// parts [image, chunks, S, C].
template <int S, int N>
__device__ void write_sums(const Columns& columns, float (&sums)[S][N], Span<float> parts) {
    const u64 chunk = u64(blockIdx.z) * gridDim.y + blockIdx.y;
    __shared__ float shared[ROWS][WARP * N];
    for (int s = 0; s < S; ++s) {
        __syncthreads();
        for (int n = 0; n < N; ++n) shared[threadIdx.y][threadIdx.x * N + n] = sums[s][n];
        __syncthreads();
        // All threads take part in the adding, each for some of the channels.
        for (int n = threadIdx.y; n < N; n += ROWS) {
            float total = 0.0f;
            for (int row = 0; row < ROWS; ++row) total += shared[row][threadIdx.x * N + n];
            if (columns.inside) {
                parts[(chunk * S + s) * columns.channels + columns.channel + n] = total;
            }
        }
    }
}

// start + the sum of one value of each chunk, those of parts at first, first + stride, …, in that order.
inline __device__ float sum_of_chunks(Span<const float> parts, int chunks, u64 first, u64 stride, float start = 0.0f) {
    for (int chunk = 0; chunk < chunks; ++chunk) start += parts[first + chunk * stride];
    return start;
}
