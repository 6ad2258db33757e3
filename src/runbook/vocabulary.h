#pragma once

#include <string>
#include <string_view>

namespace holdfast::runbook {

// What a heading says that its section is about. The words are English; a document in
// another language is read by its structure alone.
enum class Topic {
  kUnknown,
  kContents,
  kOverview,
  kGlossary,
  kContacts,
  kExternalContacts,
  kEscalation,
  kObjectives,
  kSeverities,
  kSymptoms,
  kImpact,
  kCauses,
  kPrerequisites,
  kDetection,
  kResponse,
  kRecovery,  // "Recovery Procedure", "Steps": a phase of what stands above
  kVerification,
  kAfter,       // "Post-Recovery"
  kProcedures,  // "Recovery Procedures", "Disaster Scenarios": holds several
  kPreparation,
  kBackupVerification,
  kTesting,
  kReview,
  kMaintenance,
  kMonitoring,
  kMetrics,
  kScripts,
  kEnvironment,
  kCommands,
  kChecklist,
  kCommunication,
  kReferences,
  kHistory,
  kNotes,
  kReportTemplate,
};

Topic topic_of(std::string_view title);
// "overview", "symptoms": for people.
std::string_view topic_name(Topic topic);

// The words name a disaster or a recovery from one: "failure", "outage", "restore".
bool speaks_of_disaster(std::string_view title);

// Programs that people run in shells: tells commands from prose and from output.
bool is_known_program(std::string_view name);

}  // namespace holdfast::runbook
