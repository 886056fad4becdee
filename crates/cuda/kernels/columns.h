// How a block sums over rows: 32 packs of channels beside each other, eight rows at a time.
#pragma once
#include "device.h"

constexpr int ROWS = 8;

// What a thread of a block of (32, ROWS) threads sums: blockIdx.x counts groups of 32 packs, blockIdx.y chunks of
// rows.
struct Columns {
    int channels;
    // Of the thread's pack.
    int channel;
    // The rows first, first + ROWS, … below last.
    int first, last;
    bool inside;

    __device__ Columns(int rows, int channels, int rows_per_chunk, int pack) : channels(channels) {
        channel = (blockIdx.x * WARP + threadIdx.x) * pack;
        const int start = blockIdx.y * rows_per_chunk;
        first = start + threadIdx.y;
        last = min(start + rows_per_chunk, rows);
        inside = channel < channels;
    }
};

// Adds the sums of a block's ROWS threads for each pack, in their order, and writes them to
// parts [chunks, S, C], in the place `chunk`, blockIdx.y beyond it.
template <int S, int N>
__device__ void write_sums(const Columns& columns, float (&sums)[S][N], Span<float> parts, int chunk) {
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
                parts[(u64(chunk + blockIdx.y) * S + s) * columns.channels + columns.channel + n] = total;
            }
        }
    }
}
