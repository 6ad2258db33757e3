// Covers: which lines of a block are commands: prompts where the grammar begins a command, output that a lead
// announces, numbered parts.

#include "runbook/code_block.h"

#include <gmock/gmock.h>

#include <sstream>

namespace holdfast::runbook {
namespace {

using Kind = CodeReading::Kind;

CodeReading reading_of(const std::string& language, const std::string& text, const std::string& lead = "") {
  markdown::Block block;
  block.kind = markdown::Block::Kind::kCode;
  block.info = language;
  std::istringstream stream(text);
  uint32_t number = 1;
  for (std::string line; std::getline(stream, line); number++) {
    markdown::CodeLine each;
    each.text = line;
    each.line = number;
    each.column = 1;
    block.lines.push_back(each);
  }
  return read_code(block, lead);
}

std::string commands_of(const std::string& language, const std::string& text) {
  return markdown::code_text(reading_of(language, text).lines);
}

TEST(PromptsInBlocks, AreNoneInWhatIsACommandItself) {
  for (const std::string text : {
           "systemctl stop app\n(cd /srv/app && ./restore.sh) # restore it\nsystemctl start app\n",
           "(restore_app) # restore it\nls\n",
           "for f in *; do\n  [ \"$f\" = \"user@host\" ] # only here\n  rm \"$f\"\ndone\n",
           "cat > x <<EOF\n$ 500 lost\nEOF\nls\n",
           "echo 'a\n% cat\nb'\n",
           "ls\n$ echo b\n",
       })
    EXPECT_EQ(commands_of("bash", text), text);
}

TEST(PromptsInBlocks, CountWhereACommandBegins) {
  EXPECT_EQ(commands_of("bash", "$ cat <<X\na=1\n$ b\nX\n$ ls\nfile\n"), "cat <<X\na=1\n$ b\nX\nls\n");
  EXPECT_EQ(commands_of("console", "Welcome\n$ psql -c 'select\n$ 1'\n 1\n$ a; b \\\n  c\nd\n"),
            "psql -c 'select\n$ 1'\na; b \\\n  c\n");
  EXPECT_EQ(commands_of("", "$ curl x\n  % Total    % Received\n100\n$ ls\n"), "curl x\nls\n");
}

TEST(PromptsInBlocks, CountForNothingInALongHereDocument) {
  std::string text = "cat > x <<X\n";
  for (int line = 0; line < 40; line++) text += "$ dropdb shop\n";
  EXPECT_EQ(commands_of("console", "$ " + text + "X\n$ ls\n"), text + "X\nls\n");
}

TEST(PromptsInBlocks, OfManyForms) {
  EXPECT_EQ(commands_of("bash", "app@db-1:~/x$ a\n[root@db-1 data]# b\n(venv) $ c\n(venv) app@db-1:~$ d\n% ls\n"),
            "a\nb\nc\nd\nls\n");
  EXPECT_EQ(commands_of("console", "$ a\n(venv) # b\n"), "a\nb\n");
}

TEST(PromptsInBlocks, OfLinesThatGoOn) {
  EXPECT_EQ(commands_of("console", "$ pg_restore -h db \\\n> -d shop \\\n> /backup/shop.dump\n> done\n$ ls\n"),
            "pg_restore -h db \\\n-d shop \\\n/backup/shop.dump\nls\n");
  EXPECT_EQ(commands_of("bash", "$ cat > x <<EOF\n> a\n>\n> EOF\nok\n$ for x in a; do\n> ls $x\n> done\n"),
            "cat > x <<EOF\na\n\nEOF\nfor x in a; do\nls $x\ndone\n");
  EXPECT_EQ(commands_of("console", "$ psql -c \"select\n> 1\"\n$ ls |\n> sort\n"),
            "psql -c \"select\n1\"\nls |\nsort\n");
  EXPECT_EQ(commands_of("console", "$ cat \\\n> > /tmp/x\n"), "cat \\\n> /tmp/x\n");
  // Quoted mail, a redirection on a line of its own, output.
  for (const std::string text : {"cat > mail <<EOF\n> you wrote\nEOF\n", "pg_dump shop \\\n    > /backup/shop.dump\n"})
    EXPECT_EQ(commands_of("console", "$ " + text), text);
  EXPECT_EQ(commands_of("console", "$ diff a b\n> x\n"), "diff a b\n");
}

TEST(PromptsInBlocks, ThatMayBeRedirectionsAreNotClear) {
  for (const std::string text :
       {"cat \\\n> /backup/shop.dump\ndata\n", "pg_restore -d shop \\\n> /backup/shop.dump\n"}) {
    EXPECT_FALSE(reading_of("console", "$ " + text).clear) << text;
  }
  EXPECT_TRUE(reading_of("console", "$ cat \\\n> -n \\\n> /backup/shop.dump\n").clear);
}

TEST(PromptsInBlocks, OfRootMayBeComments) {
  EXPECT_FALSE(reading_of("console", "$ sudo -i\n# start-it x\n").clear);
  EXPECT_FALSE(reading_of("console", "$ ls\n# systemctl stop app\n").clear);
  EXPECT_TRUE(reading_of("console", "$ sudo -u app ls\n# Stop it\n# systemctl\n$ ls\n").clear);
}

TEST(PromptsInBlocks, ManyAreReadInTimeOfTheirNumber) {
  std::string text, bare;
  for (int line = 0; line < 6000; line++) text += "$ ls\nx\n", bare += "ls\n";
  EXPECT_EQ(commands_of("bash", text), bare);
}

TEST(AnnouncedOutput, IsWhatTheLeadIsAbout) {
  for (const char* lead : {"Expected output:", "Output", "Example output (shortened):", "The output looks like this:",
                           "Look at it. Expected output, e.g. of db-1:", "You should see the following output:",
                           "The output should be similar to:"})
    EXPECT_EQ(reading_of("", "pg_restore x\n", lead).kind, Kind::kOutput) << lead;
  for (const char* lead : {"Run the following command and save the output:", "Save the following output:",
                           "Expected output is `OK`. Now delete the old volume:",
                           "Compare this output with the one of yesterday:", "Run this; its output should be empty:"})
    EXPECT_EQ(reading_of("", "pg_restore x\n", lead).kind, Kind::kShell) << lead;
  EXPECT_EQ(reading_of("bash", "pg_restore x\n", "Expected output:").kind, Kind::kShell);
}

TEST(NumberedParts, AreCutBetweenStatementsOnly) {
  const auto parts = [](const std::string& text) { return split_numbered(reading_of("bash", text).lines).size(); };
  EXPECT_EQ(parts("# 1. Look\nls\n# 2. Go\nrm x\n"), 2u);
  EXPECT_EQ(parts("# 1. Each\nfor x in a b; do\n  ls $x\n# 2. Then\n  rm $x\ndone\n"), 1u);
  EXPECT_EQ(parts("# 1. All\n{\n# 2. Stop\nstop\n# 3. Start\nstart\n}\n# 4. Look\nls\n"), 2u);
}

}  // namespace
}  // namespace holdfast::runbook
