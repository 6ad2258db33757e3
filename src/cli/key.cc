#include "base/units.h"
#include "cli/commands.h"
#include "cli/passphrase.h"
#include "cli/present.h"
#include "cli/program.h"
#include "cli/progress_view.h"
#include "cli/table.h"
#include "repo/keyring.h"

namespace holdfast::cli {

namespace {

Json slot_json(const repo::KeySlot& slot) {
  return {{"id", slot.id},
          {"label", slot.label},
          {"host", slot.host},
          {"created", json_of(slot.created)},
          {"kdf_memory_bytes", slot.kdf_memory_bytes},
          {"kdf_passes", slot.kdf_passes},
          {"current", slot.current}};
}

Json epoch_json(const repo::Epoch& epoch) {
  return {{"number", epoch.number},
          {"created", json_of(epoch.created)},
          {"packs", epoch.packs},
          {"packed_bytes", epoch.packed_bytes}};
}

Result<void> list(Context& context) {
  auto workspace = TRY(context.open());
  const auto slots = TRY(repo::list_keys(workspace->repository()));
  const auto epochs = TRY(repo::list_epochs(workspace->repository()));
  Json slots_json = Json::array(), epochs_json = Json::array();
  Table slot_table({{"PASSPHRASE"}, {"LABEL"}, {"HOST"}, {"CREATED"}, {"ARGON2ID"}});
  for (const repo::KeySlot& slot : slots) {
    slots_json.push_back(slot_json(slot));
    slot_table.add({slot.id.substr(0, 8) + (slot.current ? " *" : ""), slot.label, slot.host,
                    format_local(slot.created),
                    fmt::format("{} x {}", format_bytes(slot.kdf_memory_bytes), slot.kdf_passes)});
  }
  Table epoch_table(
      {{"EPOCH", Table::Align::kRight}, {"CREATED"}, {"PACKS", Table::Align::kRight}, {"SIZE", Table::Align::kRight}});
  for (const repo::Epoch& epoch : epochs) {
    epochs_json.push_back(epoch_json(epoch));
    epoch_table.add({std::to_string(epoch.number), format_local(epoch.created), format_count(epoch.packs),
                     format_bytes(epoch.packed_bytes)});
  }
  context.set_document("keys", {{"slots", slots_json}, {"epochs", epochs_json}});
  if (!context.json()) context.write(slot_table.text() + "\n" + epoch_table.text());
  return {};
}

struct NewKeyOptions {
  std::string passphrase, label;
};

Result<void> add(Context& context, const NewKeyOptions& options) {
  auto workspace = TRY(context.open());
  const Secret passphrase = TRY(new_passphrase(options.passphrase));
  const auto slot = TRY(repo::add_key(workspace->repository(), passphrase, options.label));
  context.set_document("key", {{"added", slot_json(slot)}});
  context.print("passphrase {} was added: the repository opens with it and with those before", slot.id.substr(0, 8));
  return {};
}

Result<void> remove(Context& context, const std::string& slot, bool even_in_use) {
  auto workspace = TRY(context.open());
  TRY(repo::remove_key(workspace->repository(), slot, even_in_use));
  context.set_document("key", {{"removed", slot}});
  context.print("passphrase {} was removed", slot);
  return {};
}

Result<void> change(Context& context, const NewKeyOptions& options) {
  auto workspace = TRY(context.open());
  const Secret passphrase = TRY(new_passphrase(options.passphrase));
  const auto slot = TRY(repo::change_key(workspace->repository(), passphrase));
  context.set_document("key", {{"added", slot_json(slot)}, {"replaced", true}});
  context.print("the passphrase was changed: {} opens the repository from now on", slot.id.substr(0, 8));
  const auto stack = context.stack();
  if (stack.ok()) context.say("make sure that {} gives the new passphrase", stack->passphrase);
  return {};
}

Result<void> rotate(Context& context, bool reseal) {
  auto workspace = TRY(context.open());
  Result<repo::Epoch> epoch = [&] {
    ProgressView view(context);
    return repo::rotate_epoch(workspace->repository(), reseal, context.progress());
  }();
  if (!epoch.ok()) return std::move(epoch).error();
  context.set_document("key", {{"epoch", epoch_json(*epoch)}, {"resealed", reseal}});
  context.print("epoch {} begins: everything from now on is sealed under its key", epoch->number);
  if (reseal) {
    context.say("what older epochs held is sealed anew; 'holdfast prune' removes the old packs after the grace time");
  } else {
    context.say("older packs keep their keys until they are re-packed; --reseal does it now");
  }
  return {};
}

CLI::App* add_new_key_command(Program& program, CLI::App* key, const char* name, const char* summary,
                              const std::shared_ptr<NewKeyOptions>& options) {
  CLI::App* command = program.command(name, summary, key);
  command
      ->add_option("--new-passphrase", options->passphrase,
                   "where the new one is: file:PATH, env:NAME, exec:COMMAND (default: asked for)")
      ->type_name("REF");
  return command;
}

}  // namespace

void add_key(Program& program) {
  CLI::App* key = program.command("key", "Manage the passphrases and the sealing keys of the repository.");
  key->require_subcommand(1);
  program.examples(key,
                   "holdfast key list\n"
                   "holdfast key add --label safe --new-passphrase file:/media/safe/holdfast.pass\n"
                   "holdfast key rotate --reseal");

  CLI::App* list_command = program.command("list", "List passphrases (the one in use has a *) and epochs.", key);
  program.examples(list_command, "holdfast key list");
  program.on(list_command, list);

  auto adding = std::make_shared<NewKeyOptions>();
  CLI::App* add_command = add_new_key_command(program, key, "add", "Add a passphrase; those there stay good.", adding);
  add_command->add_option("--label", adding->label, "what it is for")->type_name("TEXT");
  program.examples(
      add_command,
      "holdfast key add --label operator\nholdfast key add --label safe --new-passphrase file:/media/safe/pass");
  program.on(add_command, [adding](Context& context) { return add(context, *adding); });

  auto slot = std::make_shared<std::string>();
  CLI::App* remove_command =
      program.command("remove", "Remove a passphrase; never the last one, nor unasked the one in use.", key);
  auto even_in_use = std::make_shared<bool>(false);
  remove_command->add_flag("--even-in-use", *even_in_use,
                           "also when this command itself was given it: what gives it fails from then on");
  remove_command->add_option("id", *slot, "the beginning of its id, as 'key list' shows it")
      ->type_name("ID")
      ->required();
  program.examples(remove_command, "holdfast key remove 3f0a91c2");
  program.on(remove_command, [slot, even_in_use](Context& context) { return remove(context, *slot, *even_in_use); });

  auto changing = std::make_shared<NewKeyOptions>();
  CLI::App* change_command =
      add_new_key_command(program, key, "change", "Replace the passphrase in use by a new one.", changing);
  program.examples(change_command, "holdfast key change --new-passphrase file:/etc/holdfast/new.pass");
  program.on(change_command, [changing](Context& context) { return change(context, *changing); });

  auto reseal = std::make_shared<bool>(false);
  CLI::App* rotate_command = program.command("rotate", "Begin a new epoch: a new sealing key from now on.", key);
  rotate_command->add_flag("--reseal", *reseal, "also seal everything that is stored anew");
  program.examples(rotate_command, "holdfast key rotate\nholdfast key rotate --reseal   # after a leak");
  program.on(rotate_command, [reseal](Context& context) { return rotate(context, *reseal); });
}

}  // namespace holdfast::cli
