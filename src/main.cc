#include <malloc.h>

#include "cli/main.h"

namespace {

// Buffers of a few MiB come and go all the time; by default glibc hands each of them back
// to the kernel and faults its pages in anew. Kept, they cost an incremental capture a
// tenth less CPU. The bound of the memory is that of the queues, not of this.
void keep_freed_memory() {
  constexpr int kMiB = 1 << 20;
  mallopt(M_MMAP_THRESHOLD, 32 * kMiB);
  mallopt(M_TRIM_THRESHOLD, 128 * kMiB);
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  return holdfast::cli::main(argc, argv);
}
