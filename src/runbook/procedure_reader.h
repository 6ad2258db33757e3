#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runbook/annotations.h"
#include "runbook/code_block.h"
#include "runbook/facts.h"
#include "runbook/model.h"
#include "runbook/sections.h"

namespace holdfast::runbook {

// Larger code blocks are files, whatever they look like: nobody runs them by hand.
constexpr size_t kBlockLimit_bytes = 64 << 10;

// Settings of comments that wait for the step they precede.
struct Annotator {
  Annotations defaults;
  std::vector<Setting> pending;
  void apply(Step& step, const markdown::Block* block, std::vector<ReadError>& errors);
};

// Ids that are given once only: the second "restart" becomes "restart-2".
class Ids {
 public:
  bool take(const std::string& id) { return taken_.insert(id).second; }
  std::string make(const std::string& base);

 private:
  std::set<std::string> taken_;
  std::map<std::string, int> last_;  // number that a base had last: counting from 2 each time would be quadratic
};

// The time in a title. Whether it is a window is settled when its neighbours are known.
Budget budget_from(const TitleParts& parts);

// "Option A: ...", "Method 2 - ...".
bool is_option(const TitleParts& title);

// Makes one Procedure of a section and all below it.
class ProcedureReader {
 public:
  ProcedureReader(Document& document, Facts& facts, Annotator& annotator)
      : document_(document), facts_(facts), annotator_(annotator) {}
  Procedure read(SectionNode& node, ProcedureKind kind);

 private:
  // What the blocks being read belong to.
  struct Place {
    const SectionNode* node = nullptr;
    std::string number;  // of the list item
    Text title;          // that the next step gets
    std::string condition;
    std::optional<Budget> budget;
    bool item = false;
    std::string choice;                    // which options are of one group; "" : those of one phase
    Text within;                           // the item's title, which its options are of
    size_t steps_before = 0;               // the steps that there were when it began
    std::vector<Text>* details = nullptr;  // of the item that is being read
    std::optional<size_t> option;          // of the item above, whose blocks stand at column 0
  };
  // Blocks at column 0, of which some may belong to options that paragraphs there begin.
  struct Margin {
    Place outer;
    std::optional<size_t> outer_option;
    Place around;              // `outer`, or the item whose options stand there
    std::optional<Place> way;  // of the option that is being read
    int number_before = 0;     // of the item above the option, and of the last one within it
    int number_within = 0;
  };

  void section(SectionNode& node);
  void child(SectionNode& node);
  bool part(SectionNode& node);  // symptoms, impact, ...: no steps
  void phase(SectionNode& node);
  void option(SectionNode& node);
  void open_option(const Place& place, const TitleParts& title, SourceRange range);
  void step_heading(SectionNode& node);
  // Bullets are things to do where nothing else says what is; beside steps they are listed as unknown.
  static bool acts(ProcedureKind kind);
  void bullets_as_steps(const SectionNode& node, size_t steps_before);
  void blocks(const std::vector<const markdown::Block*>& blocks, Place& place);
  void block_at_margin(const markdown::Block& block, Margin& margin);
  void begin_way(const markdown::Block& block, const TitleParts& title, Margin& margin);
  void end_way(Margin& margin, SourceRange range);
  void take_item_of_options(Place& place);
  void block(const markdown::Block& block, Place& place);
  void paragraph(const markdown::Block& block, Place& place, bool opens_item = false);
  bool attribute(const Labelled& labelled, bool opens_item);
  void list(const markdown::Block& list, Place& place);
  void bullets(const markdown::Block& list, const Place& place);
  bool fact_of(const markdown::Block& item, const Text& whole);
  void item_or_option(const markdown::Block& item, const std::string& number, const Place& outer);
  void item(const markdown::Block& item, const std::string& number, const Place& outer);
  Place place_of_option(const Place& item, const TitleParts& title, SourceRange range);
  void close_option(const Place& place, SourceRange range);
  void item_rest(const markdown::Block& item, size_t from, Place& place, size_t steps_before);
  void code(const markdown::Block& block, Place& place);
  void words_of_block(const markdown::Block& block, const CodeReading& reading, Place& place);
  bool is_shown_to_person(const CodeReading& reading, const Place& place) const;
  void text_step(const markdown::Block& block, const CodeReading& reading, Place& place);
  std::optional<Step> take_open_item(Place& place);
  void table(const markdown::Block& table, Place& place);
  bool embedded_file(const markdown::Block& block, const CodeReading& reading);
  void command_step(const markdown::Block& block, const CodeReading& reading, Place& place);
  void manual_step(const Place& place, SourceRange range, std::vector<Text> details);
  bool inline_command(const markdown::Block& item, Place& place);
  void comment(const markdown::Block& block);
  Step start_step(Place& place);
  Text title_for(const Step& step, const Place& place, const Text& part_title) const;
  void finish_step(Step step, const markdown::Block* block);
  size_t current_phase();
  void settle_budgets();
  void settle_ids();

  Document& document_;
  Facts& facts_;
  Annotator& annotator_;
  Procedure procedure_;
  std::vector<size_t> phases_;  // open ones, innermost last
  std::optional<size_t> option_;
  std::map<std::string, size_t> option_groups_;
  Text lead_;                           // the paragraph before
  std::string lead_path_;               // of "Create `path`:"
  std::optional<size_t> open_item_;     // a manual step that a block at column 0 may still belong to
  std::vector<Setting> open_settings_;  // that it was given, in comments
  struct Bullet {
    const markdown::Block* item = nullptr;
    bool understood = false;
  };
  std::vector<Bullet> bullets_;
  int depth_ = 0;
};

}  // namespace holdfast::runbook
