#pragma once

#include <memory>

#include "store/object_store.h"

namespace holdfast::store {

// Objects in memory: for tests, and the reference of the conformance suite.
std::unique_ptr<ObjectStore> make_memory_store(Clock& clock);

}  // namespace holdfast::store
