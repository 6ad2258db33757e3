#include "engine/event.h"

#include "base/encoding.h"

namespace holdfast::engine {

crypto::Sha256Digest chained_digest(const crypto::Sha256Digest& previous, const Event& event,
                                    std::string_view payload) {
  ByteWriter writer;
  writer.raw(previous);
  const auto field = [&](std::string_view text) {
    writer.u64(text.size());
    writer.raw(as_bytes(text));
  };
  field(std::to_string(event.seq));
  field(std::to_string(event.time.ns / 1000));
  field(event.run);
  field(event.step);
  field(std::to_string(event.attempt));
  field(event.kind);
  field(payload);
  return crypto::sha256(writer.view());
}

}  // namespace holdfast::engine
