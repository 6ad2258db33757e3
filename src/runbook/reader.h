#pragma once

#include <string>

#include "base/result.h"
#include "runbook/model.h"

namespace holdfast::runbook {

// Larger documents are refused: no runbook that a person reads is so long.
constexpr size_t kDocumentLimit_bytes = 1 << 20;

// Reads Markdown. Never fails on what a document says: what is not understood is in
// Document::unknown, wrong annotations are in Document::errors. kInvalidData for what
// is no text at all (too large, NUL bytes). `path` is for messages only.
Result<Document> read_document(std::string source, std::string path);

}  // namespace holdfast::runbook
