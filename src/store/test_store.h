#pragma once

#include "store/object_store.h"

namespace holdfast::store {

// For tests: another store, as it is. What derives from it changes what it has to. The other
// must outlive it.
class PassingStore : public ObjectStore {
 public:
  explicit PassingStore(ObjectStore& inner) : inner_(inner) {}
  Result<void> create(std::string_view name, ByteView content) override { return inner_.create(name, content); }
  Result<Bytes> read(std::string_view name, uint64_t offset, size_t length) override {
    return inner_.read(name, offset, length);
  }
  Result<Bytes> read_all(std::string_view name) override { return inner_.read_all(name); }
  Result<ObjectInfo> stat(std::string_view name) override { return inner_.stat(name); }
  Result<void> list(std::string_view prefix, const std::function<Result<void>(const ObjectInfo&)>& visit) override {
    return inner_.list(prefix, visit);
  }
  Result<void> remove(std::string_view name) override { return inner_.remove(name); }
  Result<Time> server_time() override { return inner_.server_time(); }
  std::string location() const override { return inner_.location(); }

 private:
  ObjectStore& inner_;
};

// For tests: another store, before each of whose operations something happens.
class SteppedStore : public ObjectStore {
 public:
  explicit SteppedStore(ObjectStore& inner) : inner_(inner) {}
  Result<void> create(std::string_view name, ByteView content) override {
    step();
    return inner_.create(name, content);
  }
  Result<Bytes> read(std::string_view name, uint64_t offset, size_t length) override {
    step();
    return inner_.read(name, offset, length);
  }
  Result<Bytes> read_all(std::string_view name) override {
    step();
    return inner_.read_all(name);
  }
  Result<ObjectInfo> stat(std::string_view name) override {
    step();
    return inner_.stat(name);
  }
  Result<void> list(std::string_view prefix, const std::function<Result<void>(const ObjectInfo&)>& visit) override {
    step();
    return inner_.list(prefix, visit);
  }
  Result<void> remove(std::string_view name) override {
    step();
    return inner_.remove(name);
  }
  Result<Time> server_time() override {
    step();
    return inner_.server_time();
  }
  std::string location() const override { return "step by step: " + inner_.location(); }

 private:
  virtual void step() = 0;

  ObjectStore& inner_;
};

}  // namespace holdfast::store
