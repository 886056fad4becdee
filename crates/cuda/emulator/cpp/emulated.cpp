// The threads of a block as fibers, and how a launch takes them through a kernel.

// Jumps between stacks are what its check of jumps forbids.
#undef _FORTIFY_SOURCE
#include "emulated.h"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace emulated {
namespace {

constexpr std::size_t STACK = 256 * 1024;
constexpr unsigned WARP = 32;

Entry*& entries() {
    static Entry* first = nullptr;
    return first;
}

enum class State { Ready, AtBarrier, InShuffle, Done };

// Begins in a context of its own; from then on jumps, which ask nothing of the system, go to and fro.
struct Fiber {
    jmp_buf context;
    std::unique_ptr<char[]> stack;
    Place place;
    State state = State::Done;
    // Whether `context` is where it waits for its next thread to take through a kernel, or within a kernel.
    bool begun = false;
    // Which of the two rows of `lanes` the next shuffle uses.
    unsigned turn;
    // Of the thread in its block.
    unsigned number;
};

struct Warp {
    u32 lanes[2][WARP];
};

// What one thread of the system is launching.
struct Launch {
    jmp_buf scheduler;
    std::vector<std::unique_ptr<Fiber>> fibers;
    std::vector<Warp> warps;
    // Of a block.
    unsigned threads = 0;
    Fiber* current = nullptr;
    const Entry* entry = nullptr;
    void* const* arguments = nullptr;
    std::string failure;
};

// By a pointer, as what has a constructor is asked at every access whether it was made.
thread_local Launch* launch = nullptr;

// From a fiber to the scheduler, until that comes back.
void wait(State state) {
    Fiber& fiber = *launch->current;
    fiber.state = state;
    if (_setjmp(fiber.context) == 0) _longjmp(launch->scheduler, 1);
}

// What a fiber does: one thread after the other, each of another block.
void run_threads() {
    for (;;) {
        try {
            launch->entry->invoke(launch->entry->kernel, launch->arguments);
        } catch (const std::exception& error) {
            if (launch->failure.empty()) launch->failure = error.what();
        }
        wait(State::Done);
    }
}

// From the scheduler to a fiber, until that waits.
void resume(Fiber& fiber) {
    launch->current = &fiber;
    if (_setjmp(launch->scheduler) != 0) return;
    if (fiber.begun) _longjmp(fiber.context, 1);
    fiber.begun = true;
    fiber.stack.reset(new char[STACK]);
    ucontext_t first;
    getcontext(&first);
    first.uc_stack.ss_sp = fiber.stack.get();
    first.uc_stack.ss_size = STACK;
    first.uc_link = nullptr;
    makecontext(&first, run_threads, 0);
    setcontext(&first);
}

void start(Fiber& fiber) {
    // A launch that failed left it within a kernel: it begins anew.
    if (fiber.state != State::Done) fiber.begun = false;
    fiber.state = State::Ready;
    fiber.turn = 0;
}

std::string named(const Fiber& fiber) {
    const Index &b = fiber.place.block, &t = fiber.place.thread;
    return "block (" + std::to_string(b.x) + ", " + std::to_string(b.y) + ", " + std::to_string(b.z) + "), thread (" +
           std::to_string(t.x) + ", " + std::to_string(t.y) + ", " + std::to_string(t.z) + ")";
}

// Lets those of `fibers` go on that wait in `state`, where all of them do. Whether any did.
bool release(std::size_t first, std::size_t last, State state) {
    std::size_t waiting = 0, done = 0;
    for (std::size_t f = first; f < last; ++f) {
        waiting += launch->fibers[f]->state == state;
        done += launch->fibers[f]->state == State::Done;
    }
    if (waiting == 0) return false;
    if (done > 0) {
        for (std::size_t f = first; f < last; ++f) {
            if (launch->fibers[f]->state == State::Done) {
                fail(named(*launch->fibers[f]) + " has ended while others wait for it");
            }
        }
    }
    if (waiting < last - first) return false;
    for (std::size_t f = first; f < last; ++f) launch->fibers[f]->state = State::Ready;
    return true;
}

// Takes all threads of a block to their ends. `backwards` runs them in the opposite order.
void run_block(unsigned threads, bool backwards) {
    for (;;) {
        bool any = false, done = true;
        for (unsigned place = 0; place < threads; ++place) {
            Fiber& fiber = *launch->fibers[backwards ? threads - 1 - place : place];
            if (fiber.state == State::Ready) {
                resume(fiber);
                any = true;
                if (!launch->failure.empty()) {
                    launch->failure = named(fiber) + ": " + launch->failure;
                    return;
                }
            }
            done = done && fiber.state == State::Done;
        }
        if (done) return;
        if (any) continue;
        bool released = false;
        for (unsigned first = 0; first < threads; first += WARP) {
            released = release(first, std::min(first + WARP, threads), State::InShuffle) || released;
        }
        if (!released && !release(0, threads, State::AtBarrier)) {
            fail("the threads of " + named(*launch->fibers[0]) + " wait for different things");
        }
    }
}

}  // namespace

const Place& here() { return launch->current->place; }

void meet() { wait(State::AtBarrier); }

u32 exchange(u32 mask, u32 value, int distance) {
    Fiber& fiber = *launch->current;
    if (mask != 0xffffffffu) fail("a shuffle of some lanes only");
    const unsigned lane = fiber.number % WARP, turn = fiber.turn;
    if ((fiber.number / WARP + 1) * WARP > launch->threads) fail("a shuffle in a warp that is not whole");
    u32* lanes = launch->warps[fiber.number / WARP].lanes[turn];
    lanes[lane] = value;
    // The other row is free again: all lanes have read it before any came here.
    fiber.turn = 1 - turn;
    wait(State::InShuffle);
    return lanes[lane ^ unsigned(distance)];
}

void fail(const std::string& what) { throw std::runtime_error(what); }

Entry::Entry(const char* name, void (*kernel)()) : name(name), kernel(kernel), next(entries()) { entries() = this; }

}  // namespace emulated

using namespace emulated;

// The kernel after `entry`, the first after nothing; nothing after the last.
extern "C" const Entry* fcmae_emulated_next(const Entry* entry) { return entry ? entry->next : entries(); }

extern "C" const char* fcmae_emulated_name(const Entry* entry) { return entry->name; }

// An argument: `kind` is 0 for a number, 1 for values to read, 2 for values to write.
struct Argument {
    const void* place;
    std::size_t size;
    int kind;
};

static void check(const Argument& argument, const Parameter& parameter, const std::string& name) {
    if (argument.size != parameter.size) {
        fail(name + " has " + std::to_string(argument.size) + " bytes and not " + std::to_string(parameter.size));
    }
    if ((argument.kind != 0) != parameter.is_span) fail(name + " is values where a number is wanted, or the reverse");
    if (!parameter.is_span) return;
    if (parameter.is_written && argument.kind != 2) fail(name + " is written, and was given to read");
    const auto& span = *static_cast<const Span<const char>*>(argument.place);
    if (reinterpret_cast<std::uintptr_t>(span.start) % parameter.alignment != 0 || span.bytes % parameter.value != 0) {
        fail(name + " is not of values of " + std::to_string(parameter.value) + " bytes");
    }
}

// Everything about a launch that is known before it begins.
static void check(const Entry* entry, const unsigned* grid, const unsigned* block, const Argument* arguments,
                  std::size_t count) {
    if (count != entry->count) fail("wants " + std::to_string(entry->count) + " arguments");
    for (std::size_t a = 0; a < count; ++a) {
        check(arguments[a], entry->parameters[a], "argument " + std::to_string(a));
    }
    const bool few = block[0] <= 1024 && block[1] <= 1024 && block[2] <= 64;
    const unsigned threads = few ? block[0] * block[1] * block[2] : 0;
    if (threads == 0 || threads > 1024) fail("a block that no card takes");
    if (grid[0] == 0 || grid[0] > 0x7fffffffu || grid[1] == 0 || grid[1] > 65535 || grid[2] == 0 || grid[2] > 65535) {
        fail("a grid that no card takes");
    }
}

static bool tell(const std::string& failure, char* message, std::size_t length) {
    if (failure.empty()) return true;
    const std::size_t end = std::min(failure.size(), length - 1);
    std::memcpy(message, failure.data(), end);
    message[end] = 0;
    return false;
}

// Whether a kernel can be launched so, without reading anything at its arguments' places; else says why in `message`.
extern "C" bool fcmae_emulated_check(const Entry* entry, const unsigned* grid, const unsigned* block,
                                     const Argument* arguments, std::size_t count, char* message,
                                     std::size_t length) {
    try {
        check(entry, grid, block, arguments, count);
    } catch (const std::exception& error) {
        return tell(error.what(), message, length);
    }
    return true;
}

// Runs a kernel. Returns whether it went well, else says why in `message`.
extern "C" bool fcmae_emulated_launch(const Entry* entry, const unsigned* grid, const unsigned* block,
                                      const Argument* arguments, std::size_t count,
                                      bool backwards, char* message, std::size_t length) {
    static thread_local Launch own;
    launch = &own;
    launch->failure.clear();
    try {
        check(entry, grid, block, arguments, count);
        std::vector<void*> places;
        for (std::size_t a = 0; a < count; ++a) places.push_back(const_cast<void*>(arguments[a].place));
        launch->entry = entry;
        launch->arguments = places.data();
        const unsigned threads = block[0] * block[1] * block[2];
        while (launch->fibers.size() < threads) launch->fibers.push_back(std::make_unique<Fiber>());
        launch->threads = threads;
        launch->warps.resize((threads + WARP - 1) / WARP);
        const u64 blocks = u64(grid[0]) * grid[1] * grid[2];
        for (u64 step = 0; step < blocks && launch->failure.empty(); ++step) {
            const u64 b = backwards ? blocks - 1 - step : step;
            for (unsigned t = 0; t < threads; ++t) {
                Fiber& fiber = *launch->fibers[t];
                fiber.number = t;
                fiber.place = {
                    {t % block[0], t / block[0] % block[1], t / block[0] / block[1]},
                    {unsigned(b % grid[0]), unsigned(b / grid[0] % grid[1]), unsigned(b / grid[0] / grid[1])},
                    {block[0], block[1], block[2]},
                    {grid[0], grid[1], grid[2]},
                };
                start(fiber);
            }
            run_block(threads, backwards);
        }
    } catch (const std::exception& error) {
        if (launch->failure.empty()) launch->failure = error.what();
    }
    return tell(launch->failure, message, length);
}
