// Covers: every defect of the two seed runbooks that can be told from the document is
// found at its line, and nothing else is: all findings are those of the golden files, which were
// checked by reading (HOLDFAST_UPDATE_GOLDEN=1 writes them anew). docs/runbook.md says which
// defects can't be told, and why.

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>

#include "documents.h"

namespace holdfast::runbook::lint {
namespace {

void expect_all(const Document& document, const std::vector<std::string>& wanted) {
  const std::vector<std::string> found = test::lines_of(lint(document, nullptr));
  for (const std::string& each : wanted) EXPECT_THAT(found, testing::Contains(each));
}

void expect_golden(const Document& document, const std::string& name) {
  std::string made;
  for (const std::string& line : test::lines_of(lint(document, nullptr))) made += line + "\n";
  const std::string path = std::string(HOLDFAST_GOLDEN_DIRECTORY) + "/" + name;
  if (std::getenv("HOLDFAST_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << made;
  EXPECT_EQ(made, test::read_text(path)) << path;
}

TEST(SeedFindings, OfClaudeCodeManagerAreThese) {
  DOCUMENT_OR_SKIP(document, "seeds", "000_");
  expect_golden(document, "claude-code-manager-findings.txt");
}

TEST(SeedFindings, OfClickViewAreThese) {
  DOCUMENT_OR_SKIP(document, "seeds", "001_");
  expect_golden(document, "clickview-findings.txt");
}

TEST(SeedDefects, ClaudeCodeManager) {
  DOCUMENT_OR_SKIP(document, "seeds", "000_");
  expect_all(document, {
                           "19 backup-slower-than-rpo",
                           "18 backup-slower-than-rpo",  // 1
                           "18 rto-depends-on-slower",   // 2
                           "99 destroys-before-backup-verified",
                           "100 destroys-before-backup-verified",  // 3
                           "99 evidence-destroyed",                // 3
                           "96 evidence-destroyed",                // 3
                           "103 unknown-script-flag",
                           "228 unknown-script-flag",  // 4
                           "224 artefact-never-made",
                           "225 artefact-never-made",
                           "250 artefact-never-made",  // 5
                           "156 restores-todays-copy",
                           "156 local-date-against-utc",
                           "58 local-date-against-utc",
                           "31 local-date-against-utc",
                           "34 date-evaluated-twice",  // 6
                           "150 destroys-before-backup-verified",
                           "150 volume-in-use",  // 7
                           "268 pipefail-missing",
                           "268 psql-no-stop-on-error",  // 8
                           "265 sleep-as-readiness",     // 9
                           "214 traffic-before-data",
                           "218 service-before-data",
                           "214 traffic-without-fence",
                           "214 no-way-back",
                           "224 copy-never-restored",  // 10
                           "141 interactive-command",  // 11
                           "196 export-not-passed",    // 12
                           "186 curl-without-fail",
                           "180 status-page-proves-nothing",
                           "83 masked-failure",  // 13
                           "293 health-by-grep",
                           "293 check-without-retry",
                           "303 check-without-retry",
                           "303 check-without-timeout",
                           "303 local-check-only",  // 14
                           "48 secrets-in-copy",
                           "49 copy-unprotected",
                           "35 copy-unprotected",  // 15
                           "103 script-path-mismatch",
                           "118 script-path-mismatch",
                           "109 services-started-twice",  // 16
                           "30 comment-says-otherwise",   // 17
                           "109 stateful-service-without-backup",
                           "31 roles-not-dumped",          // 18
                           "350 load-test-on-production",  // 19
                           "9 contact-placeholder",
                           "425 contact-placeholder",
                           "90 notification-from-failed-host",  // 20
                           "228 step-without-verification",
                           "100 no-rollback",
                           "150 no-rollback",  // 21
                       });
}

TEST(SeedDefects, ClickView) {
  DOCUMENT_OR_SKIP(document, "seeds", "001_");
  expect_all(document, {
                           "8 no-backup-schedule",
                           "91 pitr-without-log",  // 1
                           "75 managed-service-host-command",
                           "48 managed-service-host-command",  // 2
                           "63 managed-service-host-command",
                           "54 alternatives-both-run",
                           "65 alternatives-both-run",  // 2
                           "75 promotion-without-fence",
                           "75 promotion-without-lag-check",  // 3
                           "75 promotion-without-rebuild",
                           "75 no-way-back",  // 3
                           "91 hardcoded-target-time",
                           "91 restore-while-writing",        // 4
                           "221 npm-flag-without-separator",  // 5
                           "306 npm-banner-captured",         // 6
                           "217 placeholder-is-redirection",  // 7
                           "178 prompt-then-command",
                           "178 flush-whole-store",
                           "253 flush-whole-store",
                           "178 destroys-before-backup-verified",  // 8
                           "78 interactive-command",
                           "224 interactive-command",  // 9
                           "225 setting-name-conflict",
                           "225 credentials-in-configmap",   // 9
                           "203 corruption-check-too-weak",  // 10
                           "245 secret-deleted-first",
                           "248 encryption-key-replaced",  // 11
                           "247 secret-in-arguments",
                           "246 rotation-without-restart",  // 11
                           "263 security-told-last",
                           "235 no-evidence-kept",  // 11
                           "274 traffic-before-data",
                           "282 restore-from-failed-region",  // 12
                           "275 undefined-variable",
                           "284 undefined-variable",
                           "289 context-not-switched",  // 12
                           "131 restart-misses-crash-loops",
                           "142 scale-fights-autoscaler",
                           "230 replica-count-conflict",  // 13
                           "23 unmeasurable-target",
                           "24 response-conflict",  // 14
                           "14 contact-placeholder",
                           "355 client-without-host",
                           "358 client-without-host",  // 15
                       });
}

}  // namespace
}  // namespace holdfast::runbook::lint
