#pragma once

#include <string>
#include <string_view>

#include "repo/ids.h"

namespace holdfast::repo {

// Names of objects in the store (docs/format.md, "Layout").
constexpr std::string_view kConfigName = "config";
constexpr std::string_view kConfigCopyName = "config.copy";
constexpr std::string_view kKeysPrefix = "keys/";
constexpr std::string_view kEpochsPrefix = "epochs/";
constexpr std::string_view kPacksPrefix = "packs/";
constexpr std::string_view kIndexPrefix = "index/";
constexpr std::string_view kPointsPrefix = "points/";
constexpr std::string_view kLogPrefix = "log/";
constexpr std::string_view kLeasesPrefix = "leases/";
constexpr std::string_view kTombsPrefix = "tombs/";
constexpr std::string_view kVerifiedPrefix = "verified/";
constexpr std::string_view kHoldsPrefix = "holds/";
constexpr std::string_view kDamagedPrefix = "damaged/";
// The second copy of an object whose loss would cost everything (config, key slots, epochs).
constexpr std::string_view kCopySuffix = ".copy";

std::string pack_name(const ObjectDigest& digest);  // packs/<2 hex>/<64 hex>
std::string index_name(const ObjectDigest& digest);
std::string point_name(const PointId& id);
// The digest at the end of a pack's, index object's or point's name; kInvalidData otherwise.
Result<ObjectDigest> digest_of_name(std::string_view name);

}  // namespace holdfast::repo
