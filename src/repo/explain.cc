#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "repo/check.h"
#include "repo/damage.h"
#include "repo/log_store.h"
#include "repo/object_names.h"
#include "repo/salvage.h"
#include "repo/tree_codec.h"
#include "repo/tree_walk.h"

// From a damaged object to what it touches. First the blocks that can't be read any
// more from any place (bad blocks, each with its cause); then the trees of all points
// are walked, and what refers to a bad block is written down. A chunk that several
// points share is looked at once.

namespace holdfast::repo {
namespace {

using BadBlocks = std::unordered_map<BlockId, std::string>;  // -> cause: an object's name

std::optional<BlockId> block_of_text(const std::string& text) {
  BlockId id;
  const Bytes bytes = from_hex(text);
  if (bytes.size() != id.bytes.size()) return std::nullopt;
  std::copy(bytes.begin(), bytes.end(), id.bytes.begin());
  return id;
}

// A part of a tree that is lost; the point is added where it is found.
struct Lost {
  std::string path;
  uint64_t offset = 0, length_bytes = 0, entries = 1;
  std::string cause;
};

// Joins ranges that follow each other.
void append(std::vector<Lost>& list, Lost lost) {
  if (!list.empty()) {
    Lost& last = list.back();
    const bool follows = last.entries == 1 && lost.entries == 1 && last.path == lost.path && last.cause == lost.cause &&
                         last.offset + last.length_bytes == lost.offset;
    if (follows) {
      last.length_bytes += lost.length_bytes;
      return;
    }
  }
  list.push_back(std::move(lost));
}

class LossFinder {
 public:
  LossFinder(SalvageRepository& blocks, const BadBlocks& bad, std::string unknown_cause, Progress& progress)
      : blocks_(blocks), bad_(bad), unknown_cause_(std::move(unknown_cause)), progress_(progress) {}

  // What of a tree is lost. `file_bytes` is what the point says of its size.
  Result<std::vector<Lost>> tree(const BlockId& root, uint64_t entries, uint64_t file_bytes) {
    std::vector<Lost> lost;
    TRY(page({root, entries, file_bytes, ""}, lost));
    return lost;
  }

 private:
  // Why a block can't be read; empty when it can (as far as is known).
  std::string cause_of(const BlockId& id) const {
    if (const auto found = bad_.find(id); found != bad_.end()) return found->second;
    return blocks_.index().find(id).empty() ? unknown_cause_ : "";
  }

  // The block, or empty when it belongs to other damage than the one asked for.
  template <typename T>
  Result<std::optional<T>> read(const BlockId& id, Result<T> (*decode)(ByteView)) {
    const auto bytes = blocks_.read_block(id);
    if (!bytes.ok() && !is_damage(bytes.error())) return bytes.error().clone();
    if (!bytes.ok()) return std::optional<T>();
    auto decoded = decode(**bytes);
    if (!decoded.ok()) return std::optional<T>();
    return std::optional<T>(std::move(decoded).value());
  }

  Result<void> page(const TreeRef& ref, std::vector<Lost>& lost) {
    if (progress_.stop) return make_error(ErrorCode::kInterrupted, "explain was stopped");
    if (const std::string cause = cause_of(ref.id); !cause.empty()) {
      append(lost, {ref.first_path, 0, ref.file_bytes, std::max<uint64_t>(ref.entries, 2), cause});
      return {};
    }
    const auto page = TRY(read<TreePage>(ref.id, decode_page));
    if (!page) return {};
    for (const TreeRef& below : page->refs) TRY(page->level == 0 ? chunk(below, lost) : this->page(below, lost));
    return {};
  }

  Result<void> chunk(const TreeRef& ref, std::vector<Lost>& lost) {
    if (clean_.count(ref.id)) return {};
    auto known = lossy_.find(ref.id);
    if (known == lossy_.end()) {
      std::vector<Lost> found = TRY(look_into(ref));
      if (found.empty()) {
        clean_.insert(ref.id);
        return {};
      }
      known = lossy_.emplace(ref.id, std::move(found)).first;
    }
    for (const Lost& each : known->second) lost.push_back(each);
    return {};
  }

  Result<std::vector<Lost>> look_into(const TreeRef& ref) {
    std::vector<Lost> lost;
    if (const std::string cause = cause_of(ref.id); !cause.empty()) {
      append(lost, {ref.first_path, 0, ref.file_bytes, ref.entries, cause});
      return lost;
    }
    const auto entries = TRY(read<std::vector<Entry>>(ref.id, decode_chunk));
    if (!entries) return lost;
    for (const Entry& entry : *entries) {
      uint64_t offset = 0;
      look_at(entry.path, entry.content.extents, offset, lost);
      for (const RegionRef& each : entry.content.regions) TRY(region(entry.path, each, offset, lost));
    }
    return lost;
  }

  Result<void> region(const std::string& path, const RegionRef& region, uint64_t& offset, std::vector<Lost>& lost) {
    const std::string cause = cause_of(region.id);
    const uint64_t begin = offset;
    offset += region.length_bytes;
    if (!cause.empty()) {
      append(lost, {path, begin, region.length_bytes, 1, cause});
      return {};
    }
    const auto extents = TRY(read<std::vector<Extent>>(region.id, decode_region));
    uint64_t at = begin;
    if (extents) look_at(path, *extents, at, lost);
    return {};
  }

  void look_at(const std::string& path, const std::vector<Extent>& extents, uint64_t& offset, std::vector<Lost>& lost) {
    for (const Extent& extent : extents) {
      const std::string cause = extent.block ? cause_of(*extent.block) : "";
      if (!cause.empty()) append(lost, {path, offset, extent.length_bytes, 1, cause});
      offset += extent.length_bytes;
    }
  }

  SalvageRepository& blocks_;
  const BadBlocks& bad_;
  const std::string unknown_cause_;  // of blocks that no index knows; empty: not asked for
  Progress& progress_;
  std::unordered_set<BlockId> clean_;
  std::unordered_map<BlockId, std::vector<Lost>> lossy_;
};

class Explainer {
 public:
  Explainer(RepositoryAccess& repository, Progress& progress) : repository_(repository), progress_(progress) {}

  Result<std::vector<Touched>> run(const std::set<std::string>& objects) {
    const auto index = TRY(load_index_despite_damage(
        repository_, [&](const std::string& name, const Error&) { damaged_index_.insert(name); }));
    SalvageRepository blocks(repository_, index);
    std::string unknown_cause;
    for (const std::string& object : objects) {
      if (object.starts_with(kPacksPrefix))
        TRY(try_blocks_of_pack(blocks, object));
      else if (object.starts_with(kPointsPrefix))
        TRY(try_point(object));
      else if (object.starts_with(kLogPrefix))
        TRY(try_log_record(object));
      else if (object.starts_with(kIndexPrefix))
        unknown_cause = TRY(index_cause(object, unknown_cause));
      else if (const auto id = block_of_text(object))
        TRY(try_block(blocks, *id, object, unknown_cause));
    }
    if (!bad_.empty() || !unknown_cause.empty()) TRY(find_in_points(blocks, unknown_cause));
    if (touched_.empty() && objects.size() == 1) TRY(must_be_known(blocks.index(), *objects.begin()));
    return std::move(touched_);
  }

  Result<std::vector<Touched>> lost_with(const std::string& object) {
    if (object.starts_with(kPointsPrefix)) {
      const Point point = TRY(repository_.read_point(TRY(digest_of_name(object))));
      touch_point(point.id, point.time, object);
      return std::move(touched_);
    }
    if (object.starts_with(kLogPrefix)) {
      TRY(touch_log_record(object));
      return std::move(touched_);
    }
    SalvageRepository blocks(repository_, TRY(repository_.index()));
    const Index& index = blocks.index();
    if (const auto id = block_of_text(object)) {
      if (index.find(*id).size() == 1) bad_.emplace(*id, object);
    } else if (object.starts_with(kPacksPrefix)) {
      const ObjectDigest digest = TRY(digest_of_name(object));
      for (const IndexEntry& entry : index.entries()) {
        const auto is_there = [&](const IndexEntry& place) { return index.packs()[place.pack].digest == digest; };
        const auto places = index.find(entry.id);
        if (std::all_of(places.begin(), places.end(), is_there)) bad_.emplace(entry.id, object);
      }
    } else {
      return make_error(ErrorCode::kUnsupported,
                        "{} is whole, and what would be lost with it is told of packs, points, log records and blocks "
                        "alone",
                        object)
          .with_hint(without(object));
    }
    if (!bad_.empty()) TRY(find_in_points(blocks, ""));
    return std::move(touched_);
  }

 private:
  // What becomes of the repository when such an object is lost.
  static std::string without(const std::string& object) {
    if (object.starts_with(kIndexPrefix))
      return "an index object is made anew from the packs: holdfast check --repair-index";
    for (const std::string_view prefix : {kConfigName, kKeysPrefix, kEpochsPrefix}) {
      if (object.starts_with(prefix))
        return "it is stored twice (with the ending .copy); with both copies all is lost that needs it";
    }
    return "no recovery point is read by way of it";
  }

  // That something touches nothing is said only of what there is, or was.
  Result<void> must_be_known(const Index& index, const std::string& object) {
    if (object.starts_with(kIndexPrefix) || block_of_text(object)) return {};
    if (repository_.store().stat(object).ok()) return {};
    const auto is_meant = [&](const auto& pack) { return pack_name(pack.digest) == object; };
    if (std::any_of(index.packs().begin(), index.packs().end(), is_meant)) return {};
    return make_error(ErrorCode::kNotFound, "the repository has no object {}, and nothing refers to one", object)
        .with_hint("'holdfast check' names objects as they are to be given");
  }

  Result<void> try_one(SalvageRepository& blocks, const BlockId& id, const std::string& cause) {
    const auto block = blocks.read_block(id);
    if (block.ok()) return {};
    if (!is_damage(block.error())) return block.error().clone();
    bad_.emplace(id, cause);
    return {};
  }

  Result<void> try_blocks_of_pack(SalvageRepository& blocks, const std::string& object) {
    const auto digest = digest_of_name(object);
    if (!digest.ok()) return {};
    for (const IndexEntry& entry : blocks.index().entries()) {
      if (blocks.index().packs()[entry.pack].digest == *digest) TRY(try_one(blocks, entry.id, object));
    }
    return {};
  }

  Result<void> try_block(SalvageRepository& blocks, const BlockId& id, const std::string& name,
                         std::string& unknown_cause) {
    const auto places = blocks.index().find(id);
    if (!places.empty()) return try_one(blocks, id, pack_name(blocks.index().packs()[places[0].pack].digest));
    bad_.emplace(id, unknown_cause.empty() ? "block " + name : unknown_cause);
    return {};
  }

  // Blocks that no index knows are lost by the index objects that can't be read; or,
  // when all that there are can be, by one that is gone, whichever that was.
  Result<std::string> index_cause(const std::string& object, const std::string& known) {
    if (damaged_index_.count(object)) return object;
    if (!damaged_index_.empty()) return known;
    if (object == kIndexPrefix) return object;
    const auto there = repository_.store().stat(object);
    if (there.ok()) return known;
    if (there.error().code() != ErrorCode::kNotFound) return there.error().clone();
    return object;
  }

  Result<void> try_point(const std::string& object) {
    const auto id = digest_of_name(object);
    if (!id.ok()) return {};
    const auto point = repository_.read_point(*id);
    if (point.ok()) return {};
    if (!is_damage(point.error())) return point.error().clone();
    touch_point(*id, {}, object);
    return {};
  }

  void touch_point(const PointId& id, Time time, const std::string& object) {
    Touched touched;
    touched.point = id;
    touched.point_time = time;
    touched.cause = object;
    touched_.push_back(std::move(touched));
  }

  Result<void> try_log_record(const std::string& object) {
    const std::string name = object.substr(kLogPrefix.size());
    const size_t slash = name.find('/');
    if (slash == std::string::npos) return {};
    const auto record = open_log_store(repository_)->get(name.substr(0, slash), name.substr(slash + 1));
    if (record.ok()) return {};
    if (!is_damage(record.error())) return record.error().clone();
    return touch_log_record(object);
  }

  Result<void> touch_log_record(const std::string& object) {
    const std::string name = object.substr(kLogPrefix.size());
    const size_t slash = name.find('/');
    if (slash == std::string::npos) return {};
    Touched touched;
    touched.component = name.substr(0, slash);
    touched.path = name.substr(slash + 1);
    touched.cause = object;
    touched_.push_back(std::move(touched));
    return {};
  }

  Result<void> find_in_points(SalvageRepository& blocks, const std::string& unknown_cause) {
    LossFinder finder(blocks, bad_, unknown_cause, progress_);
    const auto points = TRY(repository_.points([](const std::string&, const Error&) {}));
    for (const Point& point : points) {
      for (const Snapshot& snapshot : point.snapshots) {
        for (Lost& lost : TRY(finder.tree(snapshot.root, snapshot.files, snapshot.source_bytes))) {
          touched_.push_back({point.id, point.time, snapshot.component, std::move(lost.path), lost.offset,
                              lost.length_bytes, std::move(lost.cause), lost.entries});
        }
      }
    }
    return {};
  }

  RepositoryAccess& repository_;
  Progress& progress_;
  std::set<std::string> damaged_index_;
  BadBlocks bad_;
  std::vector<Touched> touched_;
};

}  // namespace

Result<std::vector<Touched>> explain(Repository& repository, const std::string& object, Progress& progress) {
  std::set<std::string> objects{object};
  if (object.empty()) {
    objects.clear();
    for (const Damage& damage : TRY(check(repository, {.read_data_percent = 100}, progress)).damage)
      objects.insert(damage.object);
    progress.bytes_total = progress.bytes_done = 0;
  }
  progress.phase = "finding what is touched";
  return Explainer(access(repository), progress).run(objects);
}

Result<std::vector<Touched>> lost_with(Repository& repository, const std::string& object, Progress& progress) {
  return Explainer(access(repository), progress).lost_with(object);
}

}  // namespace holdfast::repo
