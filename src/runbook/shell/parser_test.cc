// Covers: words, quotes, expansions, here-documents, pipelines, lists, compound commands,
// errors and recovery; agreement with bash -n on what is accepted; wrappers taken off.

#include "runbook/shell/parser.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "runbook/shell/invocation.h"

namespace holdfast::shell {
namespace {

using testing::ElementsAre;

std::vector<std::string> words_of(const Command& command) {
  std::vector<std::string> words;
  for (const Word& word : command.words) words.push_back(word.value);
  return words;
}

TEST(Parser, QuotesAndContinuations) {
  const Script script = parse("kubectl create \\\n  --x=\"a b\" 'c d'$E\n");
  ASSERT_TRUE(script.ok());
  ASSERT_EQ(script.commands.size(), 1u);
  EXPECT_THAT(words_of(script.commands[0]), ElementsAre("kubectl", "create", "--x=a b", "c d$E"));
  ASSERT_EQ(script.commands[0].words[3].expansions.size(), 1u);
  EXPECT_EQ(script.commands[0].words[3].expansions[0].name, "E");
}

TEST(Parser, PipelinesAndLists) {
  const Script script = parse("a | b && c || echo d; e &\n");
  ASSERT_TRUE(script.ok());
  ASSERT_EQ(script.commands.size(), 5u);
  EXPECT_EQ(script.commands[0].pipeline, script.commands[1].pipeline);
  EXPECT_EQ(script.commands[1].stage, 1u);
  EXPECT_FALSE(script.commands[0].last_stage);
  EXPECT_EQ(script.commands[2].before, "&&");
  EXPECT_EQ(script.commands[3].before, "||");
  EXPECT_EQ(script.commands[3].list, script.commands[0].list);
  EXPECT_EQ(script.commands[4].after, "&");
}

TEST(Parser, HereDocuments) {
  const Script script = parse("ssh host << 'EOF'\ncd $X\nEOF\ncat <<-END\n\t$Y\n\tEND\nlast\n");
  ASSERT_TRUE(script.ok());
  ASSERT_EQ(script.commands.size(), 3u);
  EXPECT_EQ(script.commands[0].redirections[0].here_document, "cd $X\n");
  EXPECT_TRUE(script.commands[0].redirections[0].here_document_expansions.empty());
  ASSERT_EQ(script.commands[1].redirections[0].here_document_expansions.size(), 1u);
  EXPECT_EQ(script.commands[2].word(0), "last");
}

TEST(Parser, SubstitutionsKeepTheirCommands) {
  const Script script = parse("x --id=$(npm run latest) \"${D:-$(date +%F)}\" `uname`\n");
  ASSERT_TRUE(script.ok());
  ASSERT_EQ(script.commands.size(), 4u);
  EXPECT_FALSE(script.commands[0].in_substitution);
  EXPECT_TRUE(script.commands[1].in_substitution);
  EXPECT_THAT(words_of(script.commands[1]), ElementsAre("npm", "run", "latest"));
  EXPECT_TRUE(script.commands[0].words[2].expansions[0].has_default);
}

TEST(Parser, CompoundCommands) {
  const Script script = parse(
      "for s in a b; do\n if x | grep -q Up; then y; else exit 1; fi\ndone\nf() { z; }\ncase $1 in a|b) p;; *) q ;; "
      "esac\n[[ $a == *.enc && -f b ]] && r\n");
  ASSERT_TRUE(script.ok()) << script.errors[0].message;
  EXPECT_THAT(script.functions, ElementsAre("f"));
  EXPECT_THAT(script.loop_variables, ElementsAre("s"));
  EXPECT_EQ(script.statements.size(), 4u);
  for (const Command& command : script.commands) {
    if (command.word(0) == "grep") {
      EXPECT_TRUE(command.in_condition);
    }
    if (command.word(0) == "y") {
      EXPECT_TRUE(command.in_loop && command.in_branch);
    }
    if (command.word(0) == "z") {
      EXPECT_EQ(command.function, "f");
    }
  }
}

TEST(Parser, GoesOnAfterAnError) {
  const Script script = parse("a )\nb c\n");
  ASSERT_EQ(script.errors.size(), 1u);
  EXPECT_EQ(script.errors[0].message, "unexpected ')'");
  EXPECT_EQ(script.commands.back().word(0), "b");
}

TEST(Parser, SaysWhatIsNeverClosed) {
  EXPECT_EQ(parse("echo \"a").errors[0].message, "a double quote (\") is never closed");
  EXPECT_EQ(parse("echo 'a").errors[0].message, "a single quote (') is never closed");
  EXPECT_EQ(parse("echo $(a").errors[0].message, "$( is never closed");
  EXPECT_EQ(parse("cat <<X\na\n").errors[0].message, "the here-document is not ended by a line 'X'");
}

// bash says of each of these what we say.
TEST(Parser, AgreesWithBash) {
  const std::vector<std::string> texts = {"a && b",
                                          "a &&",
                                          "| a",
                                          "a;;b",
                                          "if a; then b; fi",
                                          "if a; then fi",
                                          "while a; do b; done",
                                          "for i in 1 2; do echo $i; done",
                                          "for ((i=0;i<3;i++)); do a; done",
                                          "case x in y) z;; esac",
                                          "case x in y) z",
                                          "f() { a; }",
                                          "function g { a; }",
                                          "f() a",
                                          "{ a; }",
                                          "{ a }",
                                          "(a; b)",
                                          "((1+2))",
                                          "echo $((1+(2*3)))",
                                          "a > b < c 2>&1",
                                          "a >",
                                          "a <<< b",
                                          "x=(1 2 \"3 4\")",
                                          "echo ${a",
                                          "echo ${a:-b}",
                                          "echo \"${a[@]}\"",
                                          "! a | b",
                                          "time -p a",
                                          "a & b &",
                                          "then",
                                          "done",
                                          "echo then",
                                          "[[ a == b ]]",
                                          "[[ a =~ ^(x|y)$ ]]",
                                          "[[ a",
                                          "a 2>/dev/null | while read x; do b; done",
                                          "echo `date`",
                                          "echo $'a\\'b'",
                                          "diff <(a) <(b)",
                                          "kubectl describe pod <pod-name>",
                                          "a --id=<x> \\\n --y",
                                          "a |& b",
                                          "export A=1 B=2",
                                          "a() { b; } > c"};
  // Another user may run this, too.
  const std::string path = testing::TempDir() + "/agree-" + std::to_string(::getpid()) + ".sh";
  for (const std::string& text : texts) {
    std::ofstream(path) << text << "\n";
    const bool bash = std::system(("bash -n " + path + " 2>/dev/null").c_str()) == 0;
    EXPECT_EQ(parse(text + "\n").ok(), bash) << text;
  }
  std::remove(path.c_str());
}

TEST(Parser, NestingIsBounded) {
  for (const std::string unit : {"$(", "${a:-", "(", "\"$(", "if ", "{ ", "a=("}) {
    std::string text;
    for (int count = 0; count < 3000; count++) text += unit;
    EXPECT_FALSE(parse(text).ok()) << unit;
  }
}

std::vector<std::string> programs(const std::string& text) {
  std::vector<std::string> found;
  const Script script = parse(text);
  for (const Invocation& each : invocations(script))
    found.push_back(each.program + (each.remote ? "@" : "") + (each.terminal ? "!" : ""));
  return found;
}

TEST(Invocations, WrappersAreTakenOff) {
  EXPECT_THAT(programs("sudo -u postgres psql -c x"), ElementsAre("psql"));
  EXPECT_THAT(programs("docker exec -it db psql -U u"), ElementsAre("psql@!"));
  EXPECT_THAT(programs("docker compose -f x.yml up -d"), ElementsAre("docker-compose"));
  EXPECT_THAT(programs("kubectl exec -n ns pod-0 -- pg_restore -d x"), ElementsAre("pg_restore@"));
  EXPECT_THAT(programs("ssh h \"docker ps | grep mysql\""), ElementsAre("ssh@", "docker@", "grep@"));
  EXPECT_THAT(programs("ssh h << 'E'\nrm -rf /x\nE\n"), ElementsAre("ssh@", "rm@"));
  EXPECT_THAT(programs("env A=1 timeout 5 nice bash -c 'dropdb x'"), ElementsAre("bash", "dropdb"));
  EXPECT_THAT(programs("find . | xargs -n 1 rm"), ElementsAre("find", "rm"));
}

// "for" and "case" hold others together and are no programs: whoever looks for programs skips them.
TEST(Invocations, CompoundCommandsAreNone) {
  const std::string text = "for x in a b; do case $x in a) p ;; esac; done; [[ -f x ]] && q; while r; do s; done < y\n";
  EXPECT_THAT(programs(text), ElementsAre("p", "[[", "q", "r", "s"));
  for (const Command& command : parse(text).commands)
    EXPECT_EQ(command.compound, command.words.empty() || command.word(0) == "for" || command.word(0) == "case");
}

TEST(Invocations, InputThatEndsBeforeTheContainer) {
  const auto loses = [](const std::string& text) {
    const Script script = parse(text);
    return invocations(script).back().loses_input;
  };
  EXPECT_TRUE(loses("docker exec db psql < x"));
  EXPECT_TRUE(loses("cat x | kubectl exec -n a db-0 -- psql"));
  EXPECT_FALSE(loses("cat x | docker exec -i db psql"));
  EXPECT_FALSE(loses("kubectl exec db-0 --stdin -- psql < x"));
  EXPECT_FALSE(loses("docker compose exec -T db psql < x"));
  EXPECT_FALSE(loses("docker exec db psql -c x"));
  EXPECT_FALSE(loses("ssh h <<'E'\ndocker exec db mysqldump x > y\nE\n"));
  EXPECT_FALSE(loses("while read x; do docker exec db psql -c $x; done < y"));
}

TEST(Invocations, InputOfACompoundCommandIsThatOfItsParts) {
  const auto fed = [](const std::string& text) {
    std::vector<std::string> found;
    const Script script = parse(text);
    for (const Invocation& each : invocations(script))
      if (each.has_input) found.push_back(each.program);
    return found;
  };
  EXPECT_THAT(fed("while read x; do a; done < y; b"), ElementsAre("read", "a"));
  EXPECT_THAT(fed("a | while read x; do if b; then c; fi; done; d"), ElementsAre("read", "b", "c"));
  EXPECT_THAT(fed("{ a; b; } > y; (c) < z"), ElementsAre("c"));
}

}  // namespace
}  // namespace holdfast::shell
