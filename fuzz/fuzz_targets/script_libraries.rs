//! What scripts decode: whatever the bytes are, `cjson`, `cmsgpack` and
//! `struct` give values or an error; values that were decoded are encoded, and
//! what was encoded is decoded to what encodes the same.
//!
//! The first byte chooses the library.

#![no_main]

#[path = "scripts/mod.rs"]
mod scripts;

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use scripts::Engine;

const JSON: &str = "
    local value = cjson.decode(ARGV[1])
    local good, text = pcall(cjson.encode, value)
    if not good then return redis.status_reply(text) end
    local again = cjson.encode(cjson.decode(text))
    if #again ~= #text then return redis.status_reply('other') end
    return text";
const JSON_SETTINGS: &str = "
    local json = cjson.new()
    json.decode_max_depth(5) json.decode_invalid_numbers(false)
    json.encode_sparse_array(true, 1, 1) json.encode_invalid_numbers('null')
    json.encode_number_precision(3) json.encode_max_depth(3)
    return json.encode(json.decode(ARGV[1]))";
const PACK: &str = "
    local values = {cmsgpack.unpack(ARGV[1])}
    if #values == 0 then return '' end
    local text = cmsgpack.pack(unpack(values))
    -- A nil is no element of a table.
    if not text:find('\\192', 1, true) and #cmsgpack.pack(cmsgpack.unpack(text)) ~= #text then
        return redis.status_reply('other')
    end
    return text";
const PACK_PARTS: &str = "
    local at, count, parts = 0, 0, {}
    while at >= 0 and count < 100 do
        local value
        at, value = cmsgpack.unpack_one(ARGV[1], at)
        count = count + 1
        parts[count] = cmsgpack.pack(value)
    end
    cmsgpack.unpack_limit(ARGV[1], 3, #ARGV[1] - 2)
    return parts";
const STRUCT: &str = "
    local size = pcall(struct.size, ARGV[1])
    local values = {struct.unpack(ARGV[1], ARGV[2], tonumber(ARGV[3]))}
    local good, text = pcall(struct.pack, ARGV[1], unpack(values))
    return {text, unpack(values)}";
const SCRIPTS: &[&str] = &[JSON, JSON_SETTINGS, PACK, PACK_PARTS, STRUCT];

thread_local! {
    static ENGINE: RefCell<Engine> = RefCell::new(Engine::new());
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    let script = SCRIPTS[usize::from(*kind) % SCRIPTS.len()];
    let args: Vec<&[u8]> = if script == STRUCT {
        let (len, rest) = bytes.split_first().unwrap_or((&0, &[]));
        let (format, bytes) = rest.split_at(rest.len().min(usize::from(*len % 32)));
        let offset = ["1", "2", "7", "-1", "0", "4294967297"][usize::from(*len / 32) % 6];
        vec![format, bytes, offset.as_bytes()]
    } else {
        vec![bytes]
    };
    let reply = ENGINE.with_borrow_mut(|engine| engine.eval(script.as_bytes(), &args));
    assert!(reply != b"+other\r\n", "it changes each time that it is decoded");
});
