// Depthwise 7×7 convolution, on a grid or at visible patches. Twin: fcmae_kernels::depthwise.
//
// Features [N, S, C]. SIDE is the side of a patch in sites; 0 is a grid, whose sites are row-major in the image.
// Neither padding nor shared memory: a thread has one channel of a tile of TALL × WIDE outputs, the 32 of a warp
// have neighbouring channels, and each input that is loaded meets all its taps of all the tile's rows while it is
// in a register: 14 · WIDE products for WIDE + 6 inputs and 7 taps of a line, with tiles two rows tall.
#include "columns.h"
#include "device.h"

constexpr int PAD = 3, TAPS = 7;

// Where sites lie.
template <int SIDE>
struct Map {
    // `slots` [N, rows · columns]: the place of each patch among the visible ones of its image, -1 where it is
    // hidden. Empty on a grid.
    Span<const int> slots;
    // Of the whole image: in sites on a grid, else in patches.
    int rows, columns;
    // Sites of an image, S.
    int sites;

    __device__ int height() const { return SIDE == 0 ? rows : rows * SIDE; }
    __device__ int width() const { return SIDE == 0 ? columns : columns * SIDE; }

    // The row of the features that has the site (y, x) of an image; -1 outside of it, or where it is hidden.
    __device__ int site(int image, int y, int x) const {
        if (y < 0 || x < 0 || y >= height() || x >= width()) return -1;
        if constexpr (SIDE == 0) {
            return image * sites + y * columns + x;
        } else {
            const int slot = slots[(image * rows + y / SIDE) * columns + x / SIDE];
            return slot < 0 ? -1 : image * sites + (slot * SIDE + y % SIDE) * SIDE + x % SIDE;
        }
    }
};

// The WIDE + 6 inputs of a channel that a tile's outputs have in line y: from the site (y, x − 3) on, zeros where
// there is none. Of patches x is a multiple of WIDE = SIDE, so that which patch has which input is known to the
// compiler.
template <class T, int SIDE, int WIDE>
__device__ void load_line(const Map<SIDE>& map, Span<const T> x, int channels, int channel, int image, int y, int first,
                          float (&inputs)[WIDE + TAPS - 1]) {
    if (y < 0 || y >= map.height()) {
#pragma unroll
        for (int i = 0; i < WIDE + TAPS - 1; ++i) inputs[i] = 0.0f;
        return;
    }
    if constexpr (SIDE == 0) {
        const u64 line = (u64(image) * map.sites + u64(y) * map.columns) * channels + channel;
#pragma unroll
        for (int i = 0; i < WIDE + TAPS - 1; ++i) {
            const int column = first - PAD + i;
            const bool inside = column >= 0 && column < map.columns;
            inputs[i] = inside ? widened(x[line + u64(column) * channels]) : 0.0f;
        }
    } else {
        // Patches to either side that a window reaches.
        constexpr int REACH = (PAD + SIDE - 1) / SIDE;
        u64 lines[2 * REACH + 1];
        bool there[2 * REACH + 1];
#pragma unroll
        for (int beside = 0; beside < 2 * REACH + 1; ++beside) {
            const int column = first / SIDE + beside - REACH;
            const bool inside = column >= 0 && column < map.columns;
            const int slot = inside ? map.slots[(image * map.rows + y / SIDE) * map.columns + column] : -1;
            there[beside] = slot >= 0;
            lines[beside] = (u64(image) * map.sites + (slot * SIDE + y % SIDE) * SIDE) * channels + channel;
        }
#pragma unroll
        for (int i = 0; i < WIDE + TAPS - 1; ++i) {
            const int from = i - PAD + REACH * SIDE;
            const u64 at = lines[from / SIDE] + u64(from % SIDE) * channels;
            inputs[i] = there[from / SIDE] ? widened(x[at]) : 0.0f;
        }
    }
}

// A tile of outputs: of a grid those from (y, x) on, of patches one of the tiles of a visible patch.
struct Tile {
    int image, y, x;
};

template <int SIDE, int TALL, int WIDE>
__device__ Tile tile_of(const Map<SIDE>& map, Span<const int> visible, int index) {
    if constexpr (SIDE == 0) {
        const int across = (map.columns + WIDE - 1) / WIDE, down = (map.rows + TALL - 1) / TALL;
        const int image = index / (across * down), place = index % (across * down);
        return {image, place / across * TALL, place % across * WIDE};
    } else {
        static_assert(WIDE == SIDE && SIDE % TALL == 0, "tiles are as wide as a patch and fill it");
        constexpr int down = SIDE / TALL;
        const int patch = index / down, number = visible[patch];
        const int image = patch / (map.sites / (SIDE * SIDE));
        return {image, number / map.columns * SIDE + index % down * TALL, number % map.columns * SIDE};
    }
}

// out = convolution of x, plus bias and `add` where they are there. With the taps in the opposite order, `turned`, it
// is the gradient by the input, and `add` that of the shortcut.
//
// weight [C, 49]; visible [N, V], the patches that are visible, ascending. blockIdx.x counts tiles by the
// block's threadIdx.y, blockIdx.y groups of 32 channels.
template <class T, int SIDE, int TALL, int WIDE>
__global__ void depthwise(Span<const T> x, Span<const float> weight, Span<const float> bias, Span<const T> add,
                          Span<T> out, Span<const int> slots, Span<const int> visible, int rows, int columns,
                          int sites, int channels, int tiles, int turned) {
    const int channel = blockIdx.y * WARP + threadIdx.x;
    const int index = blockIdx.x * blockDim.y + threadIdx.y;
    if (channel >= channels || index >= tiles) return;
    const Map<SIDE> map{slots, rows, columns, sites};
    const Tile tile = tile_of<SIDE, TALL, WIDE>(map, visible, index);
    float sums[TALL][WIDE];
    const float start = bias.is_empty() ? 0.0f : bias[channel];
#pragma unroll
    for (int row = 0; row < TALL; ++row) {
#pragma unroll
        for (int column = 0; column < WIDE; ++column) sums[row][column] = start;
    }
    // The taps that the tile's rows have for a line of inputs: each row those of the row above for the line before.
    // Zeros where a line is none of a row's: what is no number there reaches both rows of the tile.
    float taps[TALL][TAPS] = {};
    // Not unrolled: the code would be eight times as long, and all taps would be in registers.
#pragma unroll 1
    for (int line = 0; line < TALL + TAPS - 1; ++line) {
#pragma unroll
        for (int k = 0; k < TAPS; ++k) {
#pragma unroll
            for (int row = TALL - 1; row > 0; --row) taps[row][k] = taps[row - 1][k];
            const int tap = turned ? TAPS * TAPS - 1 - line * TAPS - k : line * TAPS + k;
            taps[0][k] = line < TAPS ? weight[u64(channel) * TAPS * TAPS + tap] : 0.0f;
        }
        float inputs[WIDE + TAPS - 1];
        load_line<T, SIDE, WIDE>(map, x, channels, channel, tile.image, tile.y + line - PAD, tile.x, inputs);
#pragma unroll
        for (int row = 0; row < TALL; ++row) {
#pragma unroll
            for (int k = 0; k < TAPS; ++k) {
#pragma unroll
                for (int column = 0; column < WIDE; ++column) sums[row][column] += inputs[column + k] * taps[row][k];
            }
        }
    }
#pragma unroll
    for (int row = 0; row < TALL; ++row) {
#pragma unroll
        for (int column = 0; column < WIDE; ++column) {
            // Beyond the edge of a grid that is no multiple of the tile; every site of a patch is there.
            const int site = map.site(tile.image, tile.y + row, tile.x + column);
            if (site < 0) continue;
            const u64 at = u64(site) * channels + channel;
            const float sum = sums[row][column];
            out[at] = rounded<T>(add.is_empty() ? sum : sum + widened(add[at]));
        }
    }
}

// parts [chunks, 50, C]: the gradients by the 49 taps and the bias, of the tiles of each chunk. Tiles are one
// output tall. blockIdx.x counts groups of 32 channels, blockIdx.y chunks by the block's threadIdx.y.
template <class T, int SIDE, int WIDE>
__global__ void depthwise_weight(Span<const T> x, Span<const T> grad, Span<float> parts, Span<const int> slots,
                                 Span<const int> visible, int rows, int columns, int sites, int channels, int tiles,
                                 int tiles_per_chunk, int chunks) {
    const int channel = blockIdx.x * WARP + threadIdx.x;
    const int chunk = blockIdx.y * blockDim.y + threadIdx.y;
    if (channel >= channels || chunk >= chunks) return;
    const Map<SIDE> map{slots, rows, columns, sites};
    float sums[TAPS * TAPS] = {};
    float bias = 0.0f;
    const int end = min((chunk + 1) * tiles_per_chunk, tiles);
    for (int index = chunk * tiles_per_chunk; index < end; ++index) {
        const Tile tile = tile_of<SIDE, 1, WIDE>(map, visible, index);
        float grads[WIDE];
#pragma unroll
        for (int column = 0; column < WIDE; ++column) {
            const int site = map.site(tile.image, tile.y, tile.x + column);
            grads[column] = site < 0 ? 0.0f : widened(grad[u64(site) * channels + channel]);
            bias += grads[column];
        }
#pragma unroll
        for (int tap = 0; tap < TAPS; ++tap) {
            float inputs[WIDE + TAPS - 1];
            load_line<T, SIDE, WIDE>(map, x, channels, channel, tile.image, tile.y + tap - PAD, tile.x, inputs);
#pragma unroll
            for (int k = 0; k < TAPS; ++k) {
#pragma unroll
                for (int column = 0; column < WIDE; ++column) {
                    sums[tap * TAPS + k] += inputs[column + k] * grads[column];
                }
            }
        }
    }
    const u64 part = u64(chunk) * (TAPS * TAPS + 1) * channels + channel;
#pragma unroll
    for (int tap = 0; tap < TAPS * TAPS; ++tap) parts[part + u64(tap) * channels] = sums[tap];
    parts[part + u64(TAPS * TAPS) * channels] = bias;
}

// weight [C, 49] and bias [C] = the sums over chunks of parts [chunks, 50, C]; with `add` plus what is there.
__global__ void depthwise_gradients(Span<const float> parts, Span<float> weight, Span<float> bias, int chunks,
                                    int channels, int add) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (TAPS * TAPS + 1) * channels) return;
    const int tap = index / channels, channel = index % channels;
    const float sum = sum_of_chunks(parts, chunks, index, u64(TAPS * TAPS + 1) * channels);
    const bool of_bias = tap == TAPS * TAPS;
    const u64 at = of_bias ? u64(channel) : u64(channel) * TAPS * TAPS + tap;
    const Span<float>& out = of_bias ? bias : weight;
    out[at] = add ? out[at] + sum : sum;
}

// A grid of 224² pixels has sides of 56, 28, 14 and 7 sites: multiples of 7. Patches have 8, 4, 2 and 1.
#define DEPTHWISE(T)                               \
    KERNEL(depthwise<T, 0, 2, 7>)                  \
    KERNEL(depthwise<T, 8, 2, 8>)                  \
    KERNEL(depthwise<T, 4, 2, 4>)                  \
    KERNEL(depthwise<T, 2, 2, 2>)                  \
    KERNEL(depthwise<T, 1, 1, 1>)                  \
    KERNEL(depthwise_weight<T, 0, 7>)              \
    KERNEL(depthwise_weight<T, 8, 8>)              \
    KERNEL(depthwise_weight<T, 4, 4>)              \
    KERNEL(depthwise_weight<T, 2, 2>)              \
    KERNEL(depthwise_weight<T, 1, 1>)

DEPTHWISE(float)
DEPTHWISE(bf16)
KERNEL(depthwise_gradients)
