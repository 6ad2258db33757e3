#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "base/filesystem.h"
#include "recovery/backup.h"
#include "recovery/workspace.h"

namespace holdfast::recovery {

// The machine's clock, set wrong by `ahead`.
class WrongClock final : public Clock {
 public:
  Time now() override { return system_clock().now() + ahead; }
  Duration monotonic() override { return system_clock().monotonic(); }
  void sleep(Duration duration) override { system_clock().sleep(duration); }
  Duration ahead{};
};

// A stack of files components with a real repository below a scratch directory.
class TestStack : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "holdfast-stack-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    write("pass", "correct horse\n");
    stack_.stack = "demo";
    stack_.repository = root_ + "/repository";
    stack_.passphrase = "file:" + root_ + "/pass";
    stack_.threads = 1;
  }
  void TearDown() override {
    workspace_.reset();
    EXPECT_TRUE(remove_tree(fs_, root_).ok());
  }

  void write(const std::string& name, const std::string& content) {
    const std::string path = root_ + "/" + name;
    ASSERT_TRUE(make_directories(fs_, parent_path(path)).ok());
    ASSERT_TRUE(write_file_durably(fs_, path, as_bytes(content)).ok());
  }
  bool present(const std::string& name) { return exists(fs_, root_ + "/" + name).value(); }
  std::string content(const std::string& name) {
    if (!present(name)) return "";
    return std::string(as_text(read_file(fs_, root_ + "/" + name, 1 << 20).value().view()));
  }

  // A component with one file; the reference is good until the next is added.
  ComponentConfig& add(const std::string& name) {
    write(name + "/file", "content of " + name);
    ComponentConfig component;
    component.name = name;
    component.kind = "files";
    component.files.paths = {root_ + "/" + name};
    stack_.components.push_back(component);
    return stack_.components.back();
  }
  BackupCommand shell(const std::string& script) {
    return {{"sh", "-c", "cd '" + root_ + "' && " + script}, Duration::seconds(60)};
  }

  Workspace& workspace() {
    if (!workspace_) {
      const Machine machine{fs_, clock_, system_random(), progress_};
      const bool made = present("repository");
      auto opened = made ? Workspace::open(stack_, machine) : Workspace::create(stack_, machine);
      EXPECT_TRUE(opened.ok()) << opened.error().text();
      workspace_ = std::move(opened).value();
    }
    return *workspace_;
  }
  // After a change of stack_.
  void open_again() { workspace_.reset(); }
  Result<BackupReport> back_up(const BackupOptions& options = {}) { return take_point(workspace(), options); }

  FileSystem& fs_ = real_file_system();
  WrongClock clock_;  // right until a test sets it wrong
  std::string root_;
  StackConfig stack_;
  Progress progress_;
  std::unique_ptr<Workspace> workspace_;
};

}  // namespace holdfast::recovery
