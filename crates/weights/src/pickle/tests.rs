//! What Python writes, and what a hostile hand would.

use net::random::{Purpose, Stream};
use safetensors::SafeTensors;

use super::*;

/// The golden's pickles as `(name, protocol, bytes)`, and what Python says of each.
fn golden<T>(each: impl FnMut((&str, &[u8], &str)) -> T) -> Vec<T> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/pickle/case.safetensors");
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let case = SafeTensors::deserialize(&bytes).expect("a golden");
    let mut names: Vec<&str> = case.names().into_iter().filter(|name| name.starts_with("file/")).collect();
    names.sort_unstable();
    let data = |name: &str| case.tensor(name).expect("kept").data();
    let zoo = names.iter().map(|name| {
        let subject = name.split('/').nth(1).expect("file/NAME/PROTOCOL");
        (*name, data(name), std::str::from_utf8(data(&format!("text/{subject}"))).expect("text"))
    });
    zoo.map(each).collect()
}

fn read(bytes: &[u8]) -> Result<Pickle<'_>, String> {
    Pickle::read(bytes).map(|(pickle, _)| pickle)
}

/// The error's text; it is one line and names a byte.
fn fault(bytes: &[u8]) -> String {
    let error = read(bytes).expect_err("no pickle");
    assert!(error.starts_with("byte ") && error.lines().count() == 1, "{error}");
    error
}

fn bits(value: f64) -> String {
    format!("{:016x}", value.to_bits())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The golden's description of a value.
fn text(value: Value, above: &mut Vec<Id>) -> String {
    if let Some(distance) = above.iter().rev().position(|id| *id == value.id()) {
        return format!("^{}", distance + 1);
    }
    above.push(value.id());
    let text = text_inside(value, above);
    above.pop();
    text
}

fn text_inside(value: Value, above: &mut Vec<Id>) -> String {
    let mut keyed = |pairs: Vec<(Value, Value)>| {
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{}:{}", text(*k, above), text(*v, above))).collect();
        format!("{{{}}}", pairs.join(","))
    };
    if value.is_array() {
        let array = value.array().expect("an array");
        let letter = match array.kind() {
            Kind::Bool => 'b',
            Kind::Int => 'i',
            Kind::Uint => 'u',
            Kind::Float => 'f',
        };
        let shape: Vec<_> = array.shape().iter().map(usize::to_string).collect();
        let wide = array.to_f64();
        let narrow: Vec<u32> = wide.iter().map(|v| (*v as f32).to_bits()).collect();
        assert_eq!(array.to_f32().iter().map(|v| v.to_bits()).collect::<Vec<_>>(), narrow, "f32 is f64 rounded once");
        if let Some(integers) = array.integers() {
            assert_eq!(integers.iter().map(|v| *v as f64).collect::<Vec<_>>(), wide);
        }
        let numbers: Vec<_> = wide.into_iter().map(bits).collect();
        return format!("array {letter}{} {} {}", array.item_bytes(), shape.join("x"), numbers.join(" "));
    }
    if let Some(bytes) = value.as_bytes() {
        return format!("b{}", hex(&bytes));
    }
    if let Some(pairs) = value.pairs() {
        return keyed(pairs);
    }
    match (value.node(), value.class()) {
        (Node::None, _) => "None".into(),
        (Node::Bool(true), _) => "True".into(),
        (Node::Bool(false), _) => "False".into(),
        (Node::Long(bytes), _) => format!("long {}", hex(bytes)),
        (Node::Str(text), _) => format!("s{}", hex(text.as_bytes())),
        (Node::Global { module, name }, _) => format!("name {module}.{name}"),
        (Node::Call(call), Some(("zoo", name))) => {
            let attributes = value.state().map_or(Vec::new(), |state| state.pairs().expect("attributes"));
            let attributes = keyed(attributes);
            let items: Vec<_> = call.items.iter().map(|id| text(value.pickle().value(*id), above)).collect();
            let items = if items.is_empty() { String::new() } else { format!("[{}]", items.join(",")) };
            format!("object zoo.{name}{items}{attributes}")
        }
        _ => match (value.as_int(), value.as_float(), value.items()) {
            (Some(int), _, _) => int.to_string(),
            (_, Some(float), _) => bits(float),
            (_, _, Some(items)) => {
                let mut items: Vec<_> = items.map(|item| text(item, above)).collect();
                match value.node() {
                    Node::List(_) => format!("[{}]", items.join(",")),
                    Node::Tuple(_) => format!("({})", items.join(",")),
                    _ => {
                        items.sort_unstable();
                        format!("set({})", items.join(","))
                    }
                }
            }
            _ => panic!("{}", value.noun()),
        },
    }
}

#[test]
fn every_protocol_says_what_python_says() {
    let seen = golden(|(name, bytes, expected)| {
        let (pickle, used) = Pickle::read(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(used, bytes.len(), "{name}");
        assert!(pickle.len() <= bytes.len(), "{name}");
        assert_eq!(text(pickle.root(), &mut Vec::new()), expected, "{name}");
    });
    assert_eq!(seen.len(), 16 * 6 + 4 + 2, "pickles in the golden");
}

#[test]
fn what_is_shared_is_one_value() {
    let seen = golden(|(name, bytes, _)| {
        if name.starts_with("file/shared/") {
            let pickle = read(bytes).unwrap();
            let items: Vec<_> = pickle.root().items().expect("a list").collect();
            assert_eq!(items[0].id(), items[1].id(), "{name}");
            assert_eq!(items[2].items().unwrap().next().unwrap().id(), items[0].id(), "{name}");
            return 1;
        }
        0
    });
    assert_eq!(seen.iter().sum::<i32>(), 6);
}

#[test]
fn pickles_follow_each_other_in_a_stream() {
    let stream = [&b"\x80\x02K\x01."[..], b"I2\n.", b"\x80\x04\x95\x03\0\0\0\0\0\0\0K\x03.rest"].concat();
    let (mut at, mut numbers) = (0, Vec::new());
    for _ in 0..3 {
        let (pickle, used) = Pickle::read(&stream[at..]).unwrap();
        numbers.push(pickle.root().as_int());
        at += used;
    }
    assert_eq!(numbers, [Some(1), Some(2), Some(3)]);
    assert_eq!(&stream[at..], b"rest");
}

/// Instructions that only Python 2 writes, and those that no pickler of today writes.
#[test]
fn older_instructions_are_read() {
    let described = |bytes: &[u8]| text(read(bytes).unwrap().root(), &mut Vec::new());
    assert_eq!(described(b"S'it\\'s\\n\\x41\\101\\q'\np0\n."), format!("b{}", hex(b"it's\nAA\\q")));
    assert_eq!(described(b"(S\"plain\"\nU\x02abT\x03\0\0\0cdet."), "(b706c61696e,b6162,b636465)");
    assert_eq!(described(b"(I01\nI00\nI-12\nL34L\nF-1.5\nl."), format!("[True,False,-12,34,{}]", bits(-1.5)));
    assert_eq!(described(b"(I1\nV\\u0041\\\\u0041\\ud83d\\ude00\xe9\nd."), {
        format!("{{1:s{}}}", hex("A\\\\u0041\u{1f600}\u{e9}".as_bytes()))
    });
    assert_eq!(described(b"L-170141183460469231731687303715884105729L\n."), "long ffffffffffffffffffffffffffffff7fff");
    assert_eq!(described(b"\x8a\x0a\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff."), "-2");
    assert_eq!(described(b"\x8b\0\0\0\0."), "0");
    assert_eq!(described(b"K\x01K\x02200."), "1", "DUP and POP");
    assert_eq!(described(b"K\x01(K\x02K\x031(0."), "1", "POP_MARK, and POP of a mark");
    // OBJ, INST, and what `__reduce__` with items and pairs gives.
    let pickle = read(b"((czoo\nPlain\nK\x01o}U\x01aK\x02sb(K\x03izoo\nPlain\nczoo\nF\n)R(K\x04e(K\x05K\x06ut.").unwrap();
    let items: Vec<_> = pickle.root().items().unwrap().collect();
    assert_eq!((items[0].class(), items[0].arg(0).unwrap().as_int()), (Some(("zoo", "Plain")), Some(1)));
    assert_eq!(items[0].attribute("a").unwrap().as_int(), Some(2));
    assert_eq!((items[1].class(), items[1].arg(0).unwrap().as_int()), (Some(("zoo", "Plain")), Some(3)));
    let call = items[2].call().unwrap();
    assert_eq!(pickle.value(call.items[0]).as_int(), Some(4));
    assert_eq!((pickle.value(call.pairs[0].0).as_int(), pickle.value(call.pairs[0].1).as_int()), (Some(5), Some(6)));
    // Persistent identifications, as text and as a value.
    let pickle = read(b"(Pname\nK\x07Qt.").unwrap();
    let items: Vec<_> = pickle.root().items().unwrap().collect();
    assert_eq!(items[0].persistent().unwrap().as_str(), Some("name"));
    assert_eq!(items[1].persistent().unwrap().as_int(), Some(7));
    // Python 2 writes an ordered dictionary as the list of its pairs, and a set as a list.
    let ordered = b"ccollections\nOrderedDict\n((lp0\n(lp1\nS'b'\naI1\naa(lp2\nS'a'\naI2\naatR.";
    let pickle = read(ordered).unwrap();
    assert_eq!(text(pickle.root(), &mut Vec::new()), "{b62:1,b61:2}");
    assert_eq!(pickle.root().get("a").unwrap().as_int(), Some(2));
    assert_eq!(described(b"c__builtin__\nset\n((lI2\naI1\natR."), "set(1,2)");
}

#[test]
fn of_equal_keys_the_last_counts() {
    let pickle = read(b"}(X\x01\0\0\0aK\x01X\x01\0\0\0bK\x02U\x01aK\x03u.").unwrap();
    assert_eq!(pickle.root().get("a").unwrap().as_int(), Some(3));
    assert_eq!(pickle.root().get("b").unwrap().as_int(), Some(2));
    assert!(pickle.root().get("c").is_none());
}

#[test]
fn nothing_is_called_and_what_would_be_is_told() {
    let pickle = read(b"cos\nsystem\n(S'rm -rf /'\ntRczoo\nPlain\n0.").unwrap();
    assert_eq!(pickle.calls(), [("os", "system")]);
    assert_eq!(pickle.globals(), [("os", "system"), ("zoo", "Plain")]);
    assert_eq!(pickle.root().noun(), "an object of os.system");
    assert!(pickle.root().pairs().is_none() && pickle.root().items().is_none() && pickle.root().as_bytes().is_none());
    assert!(pickle.root().array().unwrap_err().contains("an object of os.system, expected an array"));
}

#[test]
fn faults_name_the_byte_and_the_instruction() {
    for (bytes, expected) in [
        (&b""[..], "byte 0: the pickle ends before its STOP"),
        (b"\x80\x06N.", "byte 0: PROTO: protocol 6, expected at most 5"),
        (b"N\xff.", "byte 1: 0xff is no opcode of pickle"),
        (b".", "byte 0: STOP: the stack is empty"),
        (b"K\x01(.", "byte 3: STOP: the stack is empty"),
        (b"K\x01e", "byte 2: APPENDS: there is no mark on the stack"),
        (b"N(K\x01e.", "byte 4: APPENDS: it cannot fill None"),
        (b"]K\x01K\x02s.", "byte 5: SETITEM: it cannot fill a list"),
        (b"}(K\x01u.", "byte 4: SETITEMS: 1 values are no pairs"),
        (b"(K\x01d.", "byte 3: DICT: 1 values are no pairs"),
        (b"h\x07.", "byte 0: BINGET: nothing is remembered under 7"),
        (b"q\x07.", "byte 0: BINPUT: the stack is empty"),
        (b"Np-1\n.", "byte 1: PUT: `-1` is no index"),
        (b"I0x10\n.", "byte 0: INT: `0x10` is no integer"),
        (b"I\n.", "byte 0: INT: `` is no integer"),
        (b"L12", "byte 0: LONG: its line does not end"),
        (b"Fone\n.", "byte 0: FLOAT: `one` is no float"),
        (b"S'a\n.", "byte 0: STRING: `\\'a` is not in quotes"),
        (b"S'\n.", "byte 0: STRING: `\\'` is not in quotes"),
        (b"S'\\x4'\n.", "byte 0: STRING: \\x needs two hexadecimal digits"),
        (b"V\\u00\n.", "byte 0: UNICODE: \\u or \\U needs 4 digits"),
        (b"V\\U00110000\n.", "byte 0: UNICODE: 0x110000 is no character"),
        (b"V\\ud800\n.", "byte 0: UNICODE: its text has half of a pair of surrogates"),
        (b"X\x02\0\0\0\xc3\x28.", "byte 0: BINUNICODE: its text is not UTF-8"),
        (b"T\xff\xff\xff\xff.", "byte 0: BINSTRING: its length is -1"),
        (b"\x8b\xff\xff\xff\x7f..", "byte 0: LONG4: it needs 2147483647 bytes, where 2 are left"),
        (b"\x8b\0\0\0\x80..", "byte 0: LONG4: its length is -2147483648"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", "byte 0: BINBYTES8: it needs 18446744073709551615 bytes, where 1 are left"),
        (b"\x95\x04\0\0\0\0\0\0\0N.", "byte 0: FRAME: a frame of 4 bytes, where 2 are left"),
        (b"\x97.", "byte 0: NEXT_BUFFER: its bytes are kept outside the pickle"),
        (b"\x82\x01.", "byte 0: EXT1: its meaning is kept in Python's registry of extensions"),
        (b"K\x01\x8c\x01a\x93.", "byte 5: STACK_GLOBAL: a name is an integer, expected a string"),
        (b"V\\u0041\n\x8c\x01a\x93.", "byte 11: STACK_GLOBAL: a name is written with escapes"),
        (b"(o.", "byte 1: OBJ: there is no class above the mark"),
        (b"]}b.", "byte 2: BUILD: it cannot set the state of a list"),
        (b"ca\nb\n)R}b}b.", "byte 10: BUILD: the object below has a state already"),
        (b"N}b.", "byte 2: BUILD: it cannot set the state of None"),
    ] {
        let error = fault(bytes);
        assert!(error.starts_with(expected), "{}: {error}, expected {expected}", bytes.escape_ascii());
    }
    let digits = [b"I", &[b'9'; 4301][..], b"\n."].concat();
    assert_eq!(fault(&digits), "byte 0: INT: an integer of 4301 digits, expected at most 4300");
    let digits = [b"I", &digits[2..]].concat();
    let largest = read(&digits).unwrap();
    assert!(matches!(largest.root().node(), Node::Long(bytes) if bytes.len() == 1786), "10^4300 has 14284.3 bits");
}

#[test]
fn arrays_that_are_none_say_why() {
    // A float32 array of shape `shape` over 8 bytes, in the words of protocol 2.
    let array = |shape: &[u8], dtype: &[u8], order: &[u8], data: &[u8]| {
        let head = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R(K\x01";
        let dtype =
            [b"cnumpy\ndtype\nU\x02", dtype, b"K\0K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"].concat();
        [head, shape, &dtype, order, data, b"tb."].concat()
    };
    let eight = b"U\x08\0\0\x80\x3f\0\0\0\xc0";
    let good = array(b"K\x02\x85", b"f4", b"\x89", eight);
    assert_eq!(read(&good).unwrap().root().array().unwrap().to_f32(), [1.0, -2.0]);
    for (bytes, expected) in [
        (array(b"K\x03\x85", b"f4", b"\x89", eight), "an array of shape [3], 4 bytes an element, has 8 bytes"),
        (array(b"J\xff\xff\xff\xff\x85", b"f4", b"\x89", eight), "an array whose shape is a tuple"),
        (array(b"\x8a\x08\0\0\0\0\0\0\0\x402\x86", b"f4", b"\x89", eight), "has 8 bytes"),
        (array(b"N", b"f4", b"\x89", eight), "an array whose shape is None"),
        (array(b"K\x01\x85", b"O8", b"\x89", eight), "an array whose elements are of type `O8`"),
        (array(b"K\x01\x85", b"c8", b"\x89", eight), "an array whose elements are of type `c8`"),
        (array(b"K\x02\x85", b"f4", b"N", eight), "an array of no known order"),
        (array(b"K\x02\x85", b"f4", b"\x89", b"]"), "an array whose content is a list"),
        (good.iter().copied().filter(|byte| *byte != b'<').collect::<Vec<_>>(), "an array of an unknown order of bytes"),
        (b"cnumpy.core.multiarray\n_reconstruct\n)R.".to_vec(), "an array without its state"),
        (b"cnumpy.core.numeric\n_frombuffer\n)R.".to_vec(), "an array of 0 arguments, expected 4"),
    ] {
        let pickle = read(&bytes).unwrap_or_else(|error| panic!("{expected}: {error}"));
        let error = pickle.root().array().expect_err(expected);
        assert!(error.contains(expected), "{error}, expected {expected}");
    }
}

/// Asks every value for everything; whatever the pickle, the answers are no more than its nodes can be.
fn ask_all(pickle: &Pickle) {
    for index in 0..pickle.len() {
        let value = pickle.value(Id(index as u32));
        let _ = (value.as_bool(), value.as_int(), value.as_usize(), value.as_float(), value.as_str());
        let _ = (value.as_bytes(), value.get("a"), value.attribute("name"), value.class(), value.noun(), value.arg(0));
        let _ = (value.persistent(), value.items().map(|items| items.count()), value.pairs().map(|pairs| pairs.len()));
        if let Ok(array) = value.array() {
            let _ = (array.to_f32(), array.to_f64(), array.integers());
        }
    }
    let _ = (pickle.globals(), pickle.calls());
}

/// Reads what may be no pickle: never a panic, and no more nodes or references than bytes.
fn survives(bytes: &[u8]) -> bool {
    let Ok((pickle, used)) = Pickle::read(bytes) else {
        fault(bytes);
        return false;
    };
    assert!(used <= bytes.len() && pickle.len() <= used);
    let references = pickle.nodes.iter().map(|node| match node {
        Node::List(items) | Node::Tuple(items) | Node::Set(items) => items.len(),
        Node::Dict(pairs) => 2 * pairs.len(),
        Node::Call(call) => call.items.len() + 2 * call.pairs.len(),
        _ => 0,
    });
    assert!(references.sum::<usize>() <= used);
    ask_all(&pickle);
    true
}

#[test]
fn every_truncation_is_an_error() {
    golden(|(name, bytes, _)| {
        // The longest say nothing new after their first kilobyte but at their end.
        for length in (0..bytes.len()).filter(|length| *length < 1000 || length + 200 > bytes.len()) {
            assert!(read(&bytes[..length]).is_err(), "{name}: {length} of {} bytes", bytes.len());
        }
    });
}

#[test]
fn no_flipped_byte_panics() {
    golden(|(_, bytes, _)| {
        let mut hostile = bytes.to_vec();
        // What is far from the beginning repeats what is near it.
        for position in (0..bytes.len()).filter(|position| *position < 2500 || position % 37 == 0) {
            let flips: &[u8] = if position < 250 { &[1, 16, 128] } else { &[[1, 16, 128][position % 3]] };
            for flip in flips {
                hostile[position] ^= flip;
                if bytes.len() < 2500 {
                    survives(&hostile);
                } else {
                    let _ = read(&hostile);
                }
                hostile[position] ^= flip;
            }
        }
    });
}

#[test]
fn ten_thousand_mutated_pickles_do_not_panic() {
    let zoo: Vec<Vec<u8>> = golden(|(_, bytes, _)| bytes.to_vec());
    let mut read = 0;
    for item in 0..10_000 {
        let random = Stream::new(1, Purpose::Test, 0, 0, item);
        let mut bytes = zoo[item as usize % zoo.len()].clone();
        let cuts = 1 + random.below(0, 8);
        for cut in 0..cuts {
            let at = |element: u32, length: usize| random.below(1 + 8 * cut + element, length as u32) as usize;
            let (from, to, other) = (at(0, bytes.len()), at(1, bytes.len()), &zoo[at(2, zoo.len())]);
            match at(3, 5) {
                0 => bytes[from] = at(4, 256) as u8,
                1 => bytes[from] ^= 1 << at(4, 8),
                2 => drop(bytes.drain(from..(from + at(4, 5)).min(bytes.len()))),
                3 => bytes.insert(from, other[at(4, other.len())]),
                // A piece of the same or another pickle.
                _ => {
                    let start = at(4, other.len());
                    let piece = other[start..(start + at(5, 40)).min(other.len())].to_vec();
                    drop(bytes.splice(to..(to + piece.len()).min(bytes.len()), piece));
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        read += i32::from(survives(&bytes));
    }
    assert!((500..9500).contains(&read), "{read} of 10000 mutated pickles are pickles still");
}

/// A million levels are read, asked and dropped without a million calls.
#[test]
fn depth_costs_nothing() {
    const DEPTH: usize = 1_000_000;
    for bytes in [
        // Tuples in tuples, lists in lists, calls of calls, states of states, identifications of identifications.
        [b")", &[0x85; DEPTH][..], b"."].concat(),
        [&[b']'; DEPTH][..], &[b'a'; DEPTH - 1], b"."].concat(),
        [b"ca\nb\n", &b")R".repeat(DEPTH)[..], b"."].concat(),
        [&b"ca\nb\n)R".repeat(DEPTH / 10)[..], &[b'b'; DEPTH / 10 - 1], b"."].concat(),
        [b"N", &[b'Q'; DEPTH][..], b"."].concat(),
        [b"ccollections\nOrderedDict\n)", &b"R\x85ccollections\nOrderedDict\n\x85".repeat(DEPTH / 10)[..], b"."].concat(),
        [&[b'('; DEPTH][..], &[b't'; DEPTH], b"."].concat(),
    ] {
        assert!(survives(&bytes));
        drop(read(&bytes).unwrap().clone());
    }
}

/// Scalars of one long text, which would be made bytes each time.
#[test]
fn scalars_are_short() {
    const DTYPE: &[u8] = b"cnumpy\ndtype\nU\x02f4K\0K\x01\x87R";
    let of = |text: &[u8], count: usize| {
        let length = (text.len() as u32).to_le_bytes();
        let each = b"cnumpy.core.multiarray\nscalar\nh\x01h\0\x86R";
        let head = [&b"c_codecs\nencode\nX"[..], &length, text, b"U\x06latin1\x86Rq\x000"].concat();
        [&head[..], DTYPE, b"q\x010(", &each.repeat(count), b"l."].concat()
    };
    let floats = |bytes: &[u8]| read(bytes).unwrap().root().items().unwrap().map(Value::as_float).collect::<Vec<_>>();
    assert_eq!(floats(&of("\0\0\u{a0}?".as_bytes(), 1)), [Some(1.25)]);
    assert_eq!(floats(&of(&[b'x'; 1 << 20], 20_000)), [None; 20_000]);
}

#[test]
fn what_is_claimed_is_not_allocated() {
    // Values of one byte each.
    let many = |count: usize| [&b"("[..], &b"]".repeat(count), b"l."].concat();
    assert!(read(&many((1 << 22) - 1)).is_ok());
    assert!(fault(&many(1 << 22)).contains("the pickle has more than 4194304 values"));
    // An index of four billion is one entry of the memo.
    let pickle = read(b"Nr\xff\xff\xff\xffj\xff\xff\xff\xff.").unwrap();
    assert_eq!((pickle.len(), pickle.root().is_none()), (1, true));
    assert!(fault(b"Np4294967296\n.").contains("`4294967296` is no index"));
    assert!(survives(b"Np4294967295\ng4294967295\n."));
    // Doubling by references: thirty tuples of the one before twice are a billion values in Python's eyes, and sixty bytes.
    let bomb = [b"]", &b"2\x86".repeat(30)[..], b"."].concat();
    assert_eq!(read(&bomb).unwrap().len(), 31);
    // A name of a megabyte, mentioned often, stays one text.
    let long = [b"X\0\0\x10\0", &[b'x'; 1 << 20][..], b"q\0", &b"h\0h\0\x93".repeat(1000), b"."].concat();
    let pickle = read(&long).unwrap();
    let (module, name) = pickle.root().global().unwrap();
    assert_eq!((pickle.len(), module.len()), (1001, 1 << 20));
    assert_eq!(module.as_ptr(), name.as_ptr());
}
