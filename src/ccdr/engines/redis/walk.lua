-- One slice of the walk over a database: what DEBUG DIGEST does not tell. ARGV: SCAN's cursor, and the instant
-- (milliseconds since the epoch) from which spans of time are counted. Gives the next cursor, then one line for each
-- kind of thing: type, count, span's beginning (or -), digest. Digests are combined by XOR, so order does not matter.
--
-- What expires is grouped by the span in which it does: a later look compares the spans that are yet to come.
-- Redis hides what has expired; it is in no line here, and in none there.
local SLICE, PAGE = 20000, 1000
local MINUTE = 60000
local KNOWN = {string = true, list = true, set = true, zset = true, hash = true, stream = true}
local cursor, since = ARGV[1], tonumber(ARGV[2])
local lines, seen = {}, 0

local function span(at)
  if at < 0 then return '-' end
  local ahead = at - since
  local width = ahead < 60 * MINUTE and MINUTE or ahead < 1440 * MINUTE and 15 * MINUTE
    or ahead < 43200 * MINUTE and 360 * MINUTE or 43200 * MINUTE
  return string.format('%.0f', since + math.floor(ahead / width) * width)
end

local function count(kind, at, said)
  local name = kind .. ' ' .. span(at)
  local line = lines[name]
  if not line then line = {0, 0, 0, 0, 0, 0}; lines[name] = line end
  line[6] = line[6] + 1
  if said then
    local sha = redis.sha1hex(said)
    for i = 1, 5 do line[i] = bit.bxor(line[i], tonumber(string.sub(sha, i * 8 - 7, i * 8), 16)) end
  end
end

-- Unlike their values, these texts may be taken apart in one way only.
local function joined(...)
  local parts = {}
  for i, part in ipairs({...}) do parts[i] = #tostring(part) .. ':' .. tostring(part) end
  return table.concat(parts)
end

local function field(of, name)
  for i = 1, #of, 2 do if of[i] == name then return of[i + 1] end end
end

local function pending(key, group, at)
  local from = '-'
  while true do
    local page = redis.call('XPENDING', key, group, from, '+', PAGE)
    for _, entry in ipairs(page) do
      count('pending', at, joined(key, group, entry[1], entry[2], entry[4]))
    end
    if #page < PAGE then return end
    from = '(' .. page[#page][1]
  end
end

local function stream(key, at)
  local info = redis.call('XINFO', 'STREAM', key)
  local said = {key}
  for _, name in ipairs({'length', 'last-generated-id', 'max-deleted-entry-id', 'entries-added'}) do
    said[#said + 1] = tostring(field(info, name))
  end
  count('stream', at, joined(unpack(said)))
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local name = field(group, 'name')
    local last, read = field(group, 'last-delivered-id'), field(group, 'entries-read')
    count('group', at, joined(key, name, last, tostring(read)))
    for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', key, name)) do
      count('consumer', at, joined(key, name, field(consumer, 'name')))
    end
    pending(key, name, at)
  end
end

-- Fields of a hash that expire by themselves. Only two encodings can hold them; older servers know none.
local function fields(key, at)
  local encoding = redis.call('OBJECT', 'ENCODING', key)
  if encoding ~= 'listpackex' and encoding ~= 'hashtable' then return end
  local at_field, names = '0', nil
  repeat
    local page = redis.call('HSCAN', key, at_field, 'COUNT', PAGE, 'NOVALUES')
    at_field, names = page[1], page[2]
    for first = 1, #names, PAGE do
      local some = {unpack(names, first, math.min(first + PAGE - 1, #names))}
      for i, when in ipairs(redis.call('HPEXPIRETIME', key, 'FIELDS', #some, unpack(some))) do
        if when > 0 then
          local gone = at > 0 and math.min(at, when) or when
          count('field', gone, joined(key, some[i], string.format('%.0f', when)))
        end
      end
    end
  until at_field == '0'
end

local fields_expire = redis.call('COMMAND', 'INFO', 'HPEXPIRETIME')[1] ~= false

repeat
  local page = redis.call('SCAN', cursor, 'COUNT', PAGE)
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    local kind, at = redis.call('TYPE', key).ok, redis.call('PEXPIRETIME', key)
    if kind ~= 'none' then
      seen = seen + 1
      if not KNOWN[kind] then kind = 'module:' .. string.gsub(kind, '%s', '_') end
      if kind == 'stream' then
        stream(key, at)
      else
        count(kind, at, at > 0 and joined(key, string.format('%.0f', at)) or nil)
      end
      if kind == 'stream' and at > 0 then count('expiring-stream', at, joined(key, string.format('%.0f', at))) end
      if kind == 'hash' and fields_expire then fields(key, at) end
    end
  end
until cursor == '0' or seen >= SLICE

local said = {cursor}
for name, line in pairs(lines) do
  local digest = ''
  for i = 1, 5 do digest = digest .. bit.tohex(line[i]) end
  said[#said + 1] = string.gsub(name, ' ', ' ' .. string.format('%d', line[6]) .. ' ') .. ' ' .. digest
end
return table.concat(said, '\n')
