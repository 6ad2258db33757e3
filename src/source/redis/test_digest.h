#pragma once

#include <set>
#include <string>
#include <string_view>

#include "source/redis/connection.h"

namespace holdfast::redis {

// Of all that a server holds and that a copy of it must hold: what DEBUG DIGEST covers (keys,
// types, values, whether they expire), and when they expire, the groups, consumers, pending
// entries and ids of streams, and the code of libraries. Not when a consumer was last seen, of
// which every server has its own account.
inline Result<std::string> digest_of_all(ServerSession& session) {
  constexpr std::string_view kRest = R"(
    local own = {['seen-time'] = 1, ['active-time'] = 1, ['radix-tree-keys'] = 1, ['radix-tree-nodes'] = 1}
    local lines = {}
    local function flatten(reply)
      if type(reply) ~= 'table' then return tostring(reply) end
      local texts = {}
      local i = 1
      while i <= #reply do
        if type(reply[i]) == 'string' and own[reply[i]] then
          i = i + 2
        else
          texts[#texts + 1] = flatten(reply[i])
          i = i + 1
        end
      end
      return '[' .. table.concat(texts, ' ') .. ']'
    end
    for db = 0, tonumber(ARGV[1]) - 1 do
      redis.call('SELECT', db)
      for _, key in ipairs(redis.call('KEYS', '*')) do
        local line = db .. ' ' .. key .. ' ' .. redis.call('PEXPIRETIME', key)
        if redis.call('TYPE', key).ok == 'stream' then
          line = line .. ' ' .. flatten(redis.call('XINFO', 'STREAM', key, 'FULL', 'COUNT', 0))
        end
        lines[#lines + 1] = line
      end
    end
    table.sort(lines)
    return redis.sha1hex(table.concat(lines, '\n'))
  )";
  std::string digest = TRY(session.command({"DEBUG", "DIGEST"})).text;
  const Reply databases = TRY(session.command({"CONFIG", "GET", "databases"}));
  digest += " " + TRY(session.command({"EVAL", kRest, "0", databases.elements.at(1).text})).text;
  // In no order of their own.
  std::set<std::string> libraries;
  for (const Reply& library : TRY(session.command({"FUNCTION", "LIST", "WITHCODE"})).elements)
    libraries.insert(library.elements.back().text);
  for (const std::string& code : libraries) digest += "\n" + code;
  return digest;
}

}  // namespace holdfast::redis
