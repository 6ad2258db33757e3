#pragma once

#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "source/postgres/connection.h"

namespace holdfast::postgres {

// What a database holds, as lines that can be compared: "table public.orders" -> owner,
// grants, columns and rows. Objects of extensions and of the server's own schemas are
// left out. What a dump and its restore may write in other words (definitions of views,
// check expressions) is not in it.
using Inventory = std::map<std::string, std::string>;

struct InventoryOptions {
  std::string database;
  // Only schemas whose name begins so; then what belongs to the database as a whole
  // (extensions, large objects, its owner and settings) is left out. "" : all.
  std::string schema_prefix;
  bool large_objects = false;  // their content, too: superusers only
  size_t threads = 2;          // tables are counted side by side
  const std::atomic<bool>* stop = nullptr;
  Duration deadline = Duration::hours(24);
};

// kServer, kPermission for what can't be read; kInterrupted.
Result<Inventory> take_inventory(const Connection& connection, const InventoryOptions& options);

// "table public.orders: rows 12, not 13", at most `limit` lines and one that counts the rest.
std::vector<std::string> differences(const Inventory& wanted, const Inventory& found, size_t limit = 10);

}  // namespace holdfast::postgres
