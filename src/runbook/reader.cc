#include "runbook/reader.h"

#include <algorithm>

#include "runbook/annotations.h"
#include "runbook/facts.h"
#include "runbook/markdown/parse.h"
#include "runbook/phrases.h"
#include "runbook/procedure_reader.h"
#include "runbook/sections.h"

namespace holdfast::runbook {

using markdown::Block;

namespace {

std::optional<ProcedureKind> kind_of(Topic topic) {
  switch (topic) {
    case Topic::kResponse:
    case Topic::kDetection: return ProcedureKind::kResponse;
    case Topic::kPreparation:
    case Topic::kPrerequisites: return ProcedureKind::kPreparation;
    case Topic::kBackupVerification:
    case Topic::kVerification: return ProcedureKind::kVerification;
    case Topic::kAfter:
    case Topic::kCommunication: return ProcedureKind::kPostRecovery;
    case Topic::kTesting: return ProcedureKind::kTesting;
    case Topic::kReview: return ProcedureKind::kReview;
    case Topic::kMaintenance:
    case Topic::kMonitoring: return ProcedureKind::kMaintenance;
    case Topic::kCommands:
    case Topic::kEnvironment:
    case Topic::kScripts:
    case Topic::kChecklist: return ProcedureKind::kReference;
    default: return std::nullopt;
  }
}

// Topics of children that are procedures beside their parent rather than phases of it.
bool stands_alone(Topic topic) {
  return topic == Topic::kBackupVerification || topic == Topic::kTesting || topic == Topic::kReview ||
         topic == Topic::kPreparation || topic == Topic::kMaintenance || topic == Topic::kMetrics ||
         topic == Topic::kScripts;
}

// Walks the outline and makes of each section what it is.
class DocumentReader {
 public:
  DocumentReader(Document& document, Annotator& annotator)
      : document_(document), facts_(document), procedures_(document, facts_, annotator), annotator_(annotator) {}

  void run(SectionNode& root) {
    const bool titled = root.children.size() == 1 && root.children.front().level <= 2 && root.blocks.empty();
    if (!root.children.empty()) document_.title = root.children.front().heading;
    overview(root);
    for (SectionNode& child : root.children) {
      if (titled) overview(child);
      visit(child, std::nullopt);
    }
    join_scenarios();
    number_ids();
    list_sections(root);
    if (!annotator_.pending.empty())
      document_.errors.push_back(
          {"an annotation at the end of the document belongs to no step", "", annotator_.pending.front().range});
  }

 private:
  void overview(SectionNode& node) {
    for (const Block* block : node.blocks) {
      if (block->kind != Block::Kind::kParagraph) continue;
      const std::vector<Labelled> labels = labels_of(*block);
      for (const Labelled& each : labels)
        if (!each.value.empty()) document_.attributes.push_back({each.label, each.value});
      if (labels.empty()) document_.overview += (document_.overview.empty() ? "" : "\n") + text_of(*block).text;
    }
  }

  static bool has_label(const SectionNode& node, std::initializer_list<std::string_view> wanted) {
    for (const Block* block : node.blocks) {
      if (block->kind != Block::Kind::kParagraph) continue;
      for (const Labelled& each : labels_of(*block))
        if (std::find(wanted.begin(), wanted.end(), lower(each.label.text)) != wanted.end()) return true;
    }
    return false;
  }

  static bool is_scenario(const SectionNode& node) {
    if (node.title.label == "scenario") return true;
    if (node.topic != Topic::kUnknown && node.topic != Topic::kProcedures) return false;
    if (has_label(node, {"scenario", "trigger", "symptoms"})) return true;
    const auto child_is = [&](auto&& test) { return std::any_of(node.children.begin(), node.children.end(), test); };
    if (child_is([](const SectionNode& child) { return child.title.label == "scenario"; })) return false;
    const bool named =
        child_is([](const SectionNode& child) { return child.topic == Topic::kRecovery && child.has_steps_below(); });
    const bool symptoms = child_is([](const SectionNode& child) { return child.topic == Topic::kSymptoms; });
    if ((named || symptoms) && node.has_steps_below() &&
        !child_is([](const SectionNode& child) { return is_scenario(child); }))
      return true;
    const bool direct = node.has_code() || node.has_ordered() || child_is([](const SectionNode& child) {
                          return child.title.label == "step" || child.title.label == "phase" ||
                                 child.level == SectionNode::kNumberedBoldLine;
                        });
    const bool listed =
        node.parent != nullptr && node.parent->topic == Topic::kProcedures && node.parent->title.label.empty();
    return direct && (speaks_of_disaster(node.title.title.text) || listed);
  }

  void visit(SectionNode& node, std::optional<ProcedureKind> inherited) {
    if (facts_.section(node)) return;
    if (node.topic == Topic::kContents || node.topic == Topic::kHistory || node.topic == Topic::kGlossary ||
        node.topic == Topic::kReportTemplate) {
      node.reading = std::string(topic_name(node.topic));
      return;
    }
    if (is_scenario(node)) {
      document_.scenarios.push_back(procedures_.read(node, ProcedureKind::kScenario));
      return;
    }
    std::optional<ProcedureKind> kind = kind_of(node.topic);
    if (!kind) kind = inherited;
    const bool parted = std::any_of(node.children.begin(), node.children.end(), [&](const SectionNode& child) {
      return stands_alone(child.topic) && child.topic != node.topic;
    });
    if (kind && !parted) return procedure(node, *kind);
    section(node, kind);
    for (SectionNode& child : node.children) visit(child, kind_of(child.topic) ? std::nullopt : kind);
  }

  void procedure(SectionNode& node, ProcedureKind kind) {
    Procedure procedure = procedures_.read(node, kind);
    if (procedure.steps.empty()) node.reading = std::string(topic_name(node.topic));
    if (!procedure.steps.empty()) document_.procedures.push_back(std::move(procedure));
  }

  // A section that is no procedure as a whole: what stands directly below its heading.
  void section(SectionNode& node, std::optional<ProcedureKind> kind) {
    node.reading = node.topic == Topic::kUnknown ? "section" : std::string(topic_name(node.topic));
    if (node.topic == Topic::kOverview && document_.overview.empty()) overview(node);
    SectionNode direct;
    direct.level = node.level;
    direct.heading = node.heading;
    direct.title = node.title;
    direct.topic = node.topic;
    direct.parent = node.parent;
    direct.range = node.range;
    for (const Block* block : node.blocks)
      if (!plain(*block, node)) direct.blocks.push_back(block);
    if (direct.blocks.empty()) return;
    Procedure procedure = procedures_.read(direct, kind.value_or(ProcedureKind::kReference));
    const bool steps = !procedure.steps.empty() && direct.has_steps_below();
    if (steps) document_.procedures.push_back(std::move(procedure));
  }

  // Words and lists outside of procedures. True when nothing is left to be read of it.
  bool plain(const Block& block, SectionNode& node) {
    if (block.kind == Block::Kind::kParagraph) {
      facts_.prose(block.inlines);
      for (const Labelled& each : labels_of(block))
        facts_.objectives(each.label.text + ": " + each.value.text, each.value.range, {}, Objective::Scope::kGlobal);
      const Text text = text_of(block);
      if (labels_of(block).empty()) facts_.objectives(text.text, block.range, {}, Objective::Scope::kGlobal);
      return false;  // it may introduce a block
    }
    if (block.kind != Block::Kind::kList || block.ordered) return block.kind == Block::Kind::kRule;
    std::vector<const Block*> rest;
    for (const Block& item : block.children) {
      facts_.prose(first_inlines(item));
      const Text text = text_of(first_inlines(item));
      if (!facts_.objectives(text.text, item.range, {}, Objective::Scope::kGlobal) &&
          !facts_.frequency(text, text, node.topic == Topic::kPreparation))
        rest.push_back(&item);
    }
    if (rest.size() < block.children.size()) facts_.unknown_items(rest);
    return true;
  }

  // A list of scenarios here, their procedures further down: joined by number or title.
  void join_scenarios() {
    auto& all = document_.scenarios;
    for (size_t index = 0; index < all.size(); index++) {
      if (!all[index].steps.empty()) continue;
      for (size_t other = 0; other < all.size(); other++) {
        const bool same_title = slug(all[other].title.text) == slug(all[index].title.text);
        const bool same_number = !all[index].number.empty() && all[other].number == all[index].number &&
                                 share_word(all[other].title.text, all[index].title.text);
        if (other == index || all[other].steps.empty() || !(same_title || same_number)) continue;
        join(all[other], all[index]);
        all.erase(all.begin() + static_cast<std::ptrdiff_t>(index));
        index--;
        break;
      }
    }
  }

  static void join(Procedure& target, const Procedure& source) {
    target.symptoms.insert(target.symptoms.begin(), source.symptoms.begin(), source.symptoms.end());
    target.impact.insert(target.impact.begin(), source.impact.begin(), source.impact.end());
    target.attributes.insert(target.attributes.begin(), source.attributes.begin(), source.attributes.end());
    if (target.trigger.empty()) target.trigger = source.trigger;
    if (!target.expected_time) target.expected_time = source.expected_time;
    if (!target.expected_loss) target.expected_loss = source.expected_loss;
  }

  void number_ids() {
    Ids ids;
    for (auto* list : {&document_.scenarios, &document_.procedures}) {
      for (Procedure& procedure : *list) {
        const std::string base = slug(procedure.title.text);
        procedure.id = ids.make(base.empty() ? "procedure" : base);
      }
    }
  }

  void list_sections(const SectionNode& node) {
    for (const SectionNode& child : node.children) {
      document_.sections.push_back(
          {child.level, child.heading, child.range, child.reading.empty() ? "part" : child.reading});
      list_sections(child);
    }
  }

  Document& document_;
  Facts facts_;
  ProcedureReader procedures_;
  Annotator& annotator_;
};

// Suppressions: for the block that follows, for the section when nothing stands between
// its heading and the comment, for the document when no heading stands before.
void find_suppressions(const std::vector<Block>& blocks, Document& document, SourceRange whole, bool top) {
  const Block* heading = nullptr;
  for (size_t index = 0; index < blocks.size(); index++) {
    const Block& block = blocks[index];
    find_suppressions(block.children, document, whole, false);
    if (block.kind == Block::Kind::kHeading) heading = &block;
    if (block.kind != Block::Kind::kHtml) continue;
    std::vector<ReadError> ignored;
    auto comment = parse_comment(block.html, block.range.begin, ignored);
    if (!comment || !comment->suppression) continue;
    Suppression suppression = std::move(*comment->suppression);
    size_t before = index;
    while (before > 0 && blocks[before - 1].kind == Block::Kind::kHtml) before--;
    if (top && heading == nullptr) {
      suppression.effect = whole;
    } else if (top && before > 0 && blocks[before - 1].kind == Block::Kind::kHeading) {
      suppression.effect = {heading->range.begin, whole.end};
      for (size_t next = index + 1; next < blocks.size(); next++) {
        if (blocks[next].kind != Block::Kind::kHeading || blocks[next].level > heading->level) continue;
        suppression.effect.end = blocks[next].range.begin;
        break;
      }
    } else {
      size_t next = index + 1;
      while (next < blocks.size() && blocks[next].kind == Block::Kind::kHtml) next++;
      suppression.effect = next < blocks.size() ? blocks[next].range : block.range;
    }
    document.suppressions.push_back(std::move(suppression));
  }
}

}  // namespace

Result<Document> read_document(std::string source, std::string path) {
  if (source.size() > kDocumentLimit_bytes)
    return make_error(ErrorCode::kInvalidData, "{}: {} bytes are more than a runbook may have ({})", path,
                      source.size(), kDocumentLimit_bytes);
  if (source.find('\0') != std::string::npos)
    return make_error(ErrorCode::kInvalidData, "{}: holds NUL bytes: it is no text", path)
        .with_hint("give a Markdown document");
  Document document;
  document.path = std::move(path);
  document.source = source;
  Annotator annotator;
  annotator.defaults = take_front_matter(source, document.errors);
  const std::vector<Block> blocks = markdown::parse(source);
  const auto lines = static_cast<uint32_t>(markdown::split_lines(source).size());
  const SourceRange whole{{1, 1}, {lines + 1, 1}};
  const std::unique_ptr<SectionNode> root = outline(blocks, whole);
  DocumentReader(document, annotator).run(*root);
  find_suppressions(blocks, document, whole, true);
  return document;
}

}  // namespace holdfast::runbook
