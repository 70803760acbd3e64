//! The stack machine.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Call, Id, Node, Pickle, text};

/// Opcodes and their names (Python's `pickletools.opcodes`).
const NAMES: &[(u8, &str)] = &[
    (b'I', "INT"),
    (b'J', "BININT"),
    (b'K', "BININT1"),
    (b'M', "BININT2"),
    (b'L', "LONG"),
    (0x8a, "LONG1"),
    (0x8b, "LONG4"),
    (b'S', "STRING"),
    (b'T', "BINSTRING"),
    (b'U', "SHORT_BINSTRING"),
    (b'B', "BINBYTES"),
    (b'C', "SHORT_BINBYTES"),
    (0x8e, "BINBYTES8"),
    (0x96, "BYTEARRAY8"),
    (0x97, "NEXT_BUFFER"),
    (0x98, "READONLY_BUFFER"),
    (b'N', "NONE"),
    (0x88, "NEWTRUE"),
    (0x89, "NEWFALSE"),
    (b'V', "UNICODE"),
    (0x8c, "SHORT_BINUNICODE"),
    (b'X', "BINUNICODE"),
    (0x8d, "BINUNICODE8"),
    (b'F', "FLOAT"),
    (b'G', "BINFLOAT"),
    (b']', "EMPTY_LIST"),
    (b'a', "APPEND"),
    (b'e', "APPENDS"),
    (b'l', "LIST"),
    (b')', "EMPTY_TUPLE"),
    (b't', "TUPLE"),
    (0x85, "TUPLE1"),
    (0x86, "TUPLE2"),
    (0x87, "TUPLE3"),
    (b'}', "EMPTY_DICT"),
    (b'd', "DICT"),
    (b's', "SETITEM"),
    (b'u', "SETITEMS"),
    (0x8f, "EMPTY_SET"),
    (0x90, "ADDITEMS"),
    (0x91, "FROZENSET"),
    (b'0', "POP"),
    (b'2', "DUP"),
    (b'(', "MARK"),
    (b'1', "POP_MARK"),
    (b'g', "GET"),
    (b'h', "BINGET"),
    (b'j', "LONG_BINGET"),
    (b'p', "PUT"),
    (b'q', "BINPUT"),
    (b'r', "LONG_BINPUT"),
    (0x94, "MEMOIZE"),
    (0x82, "EXT1"),
    (0x83, "EXT2"),
    (0x84, "EXT4"),
    (b'c', "GLOBAL"),
    (0x93, "STACK_GLOBAL"),
    (b'R', "REDUCE"),
    (b'b', "BUILD"),
    (b'i', "INST"),
    (b'o', "OBJ"),
    (0x81, "NEWOBJ"),
    (0x92, "NEWOBJ_EX"),
    (0x80, "PROTO"),
    (b'.', "STOP"),
    (0x95, "FRAME"),
    (b'P', "PERSID"),
    (b'Q', "BINPERSID"),
];

/// The most values of a pickle: a value of one byte takes many times as much memory, and no trained net has as many.
const MOST_NODES: usize = 1 << 22;

/// Reads one pickle; with it, how many bytes it has.
pub(super) fn run(bytes: &[u8]) -> Result<(Pickle<'_>, usize), String> {
    let mut machine = Machine { bytes, at: 0, nodes: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    loop {
        let at = machine.at;
        let Some(&opcode) = bytes.get(at) else {
            return Err(format!("byte {at}: the pickle ends before its STOP"));
        };
        let name = NAMES.iter().find(|(code, _)| *code == opcode).map(|(_, name)| *name);
        let name = name.ok_or_else(|| format!("byte {at}: {opcode:#04x} is no opcode of pickle"))?;
        machine.at += 1;
        let root = machine.step(opcode).map_err(|what| format!("byte {at}: {name}: {what}"))?;
        if let Some(root) = root {
            return Ok((Pickle { nodes: machine.nodes, root }, machine.at));
        }
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    /// The next byte.
    at: usize,
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at its marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    /// Executes one instruction whose opcode has been read; the root where it is the last.
    fn step(&mut self, opcode: u8) -> Result<Option<Id>, String> {
        match opcode {
            b'.' => return self.pop().map(Some),
            0x80 => {
                let [version] = self.array()?;
                if version > 5 {
                    return Err(format!("protocol {version}, expected at most 5"));
                }
            }
            0x95 => {
                let claimed = u64::from_le_bytes(self.array()?);
                let left = self.bytes.len() - self.at;
                if claimed > left as u64 {
                    return Err(format!("a frame of {claimed} bytes, where {left} are left"));
                }
            }
            b'N' | 0x88 | 0x89 | b'I' | b'J' | b'K' | b'M' | b'L' | 0x8a | 0x8b | b'F' | b'G' => self.number(opcode)?,
            b'S' | b'T' | b'U' | b'B' | b'C' | 0x8e | 0x96 | b'V' | 0x8c | b'X' | 0x8d => self.string(opcode)?,
            b']' | b')' | b'}' | 0x8f | b'l' | b't' | b'd' | 0x91 | 0x85 | 0x86 | 0x87 => self.container(opcode)?,
            b'a' | b'e' | b's' | b'u' | 0x90 => self.fill(opcode)?,
            b'0' | b'2' | b'(' | b'1' => self.shuffle(opcode)?,
            b'g' | b'h' | b'j' | b'p' | b'q' | b'r' | 0x94 => self.remember(opcode)?,
            b'c' | 0x93 | b'R' | b'b' | b'i' | b'o' | 0x81 | 0x92 | b'P' | b'Q' => self.object(opcode)?,
            0x97 | 0x98 => return Err("its bytes are kept outside the pickle".into()),
            // 0x82 to 0x84, the only opcodes that are left.
            _ => return Err("its meaning is kept in Python's registry of extensions, outside the pickle".into()),
        }
        Ok(None)
    }

    fn number(&mut self, opcode: u8) -> Result<(), String> {
        let node = match opcode {
            b'N' => Node::None,
            0x88 => Node::Bool(true),
            0x89 => Node::Bool(false),
            b'J' => Node::Int(i32::from_le_bytes(self.array()?).into()),
            b'K' => Node::Int(u8::from_le_bytes(self.array()?).into()),
            b'M' => Node::Int(u16::from_le_bytes(self.array()?).into()),
            b'I' => match self.line()? {
                b"00" => Node::Bool(false),
                b"01" => Node::Bool(true),
                digits => text::integer(digits)?,
            },
            b'L' => {
                let digits = self.line()?.trim_ascii();
                text::integer(digits.strip_suffix(b"L").unwrap_or(digits))?
            }
            0x8a => {
                let [length] = self.array()?;
                text::little_endian(self.take(length.into())?)
            }
            0x8b => {
                let length = self.signed_length()?;
                text::little_endian(self.take(length)?)
            }
            b'F' => Node::Float(text::float(self.line()?)?),
            _ => Node::Float(f64::from_be_bytes(self.array()?)),
        };
        self.push(node)
    }

    fn string(&mut self, opcode: u8) -> Result<(), String> {
        let node = match opcode {
            b'S' => Node::Bytes(text::quoted(self.line()?)?),
            b'V' => Node::Str(text::raw_unicode_escape(self.line()?)?),
            b'T' => {
                let length = self.signed_length()?;
                Node::Bytes(Cow::Borrowed(self.take(length)?))
            }
            _ => {
                let length = match opcode {
                    b'U' | b'C' | 0x8c => u8::from_le_bytes(self.array()?).into(),
                    b'B' | b'X' => u32::from_le_bytes(self.array()?).into(),
                    _ => u64::from_le_bytes(self.array()?),
                };
                let bytes = self.take(length)?;
                match opcode {
                    0x8c | b'X' | 0x8d => Node::Str(Cow::Borrowed(text::utf8(bytes)?)),
                    _ => Node::Bytes(Cow::Borrowed(bytes)),
                }
            }
        };
        self.push(node)
    }

    fn container(&mut self, opcode: u8) -> Result<(), String> {
        let node = match opcode {
            b']' => Node::List(Vec::new()),
            b')' => Node::Tuple(Vec::new()),
            b'}' => Node::Dict(Vec::new()),
            0x8f => Node::Set(Vec::new()),
            b'l' => Node::List(self.pop_to_mark()?),
            b't' => Node::Tuple(self.pop_to_mark()?),
            0x91 => Node::Set(self.pop_to_mark()?),
            b'd' => Node::Dict(pairs(&self.pop_to_mark()?)?),
            _ => {
                let mut items = vec![Id(0); usize::from(opcode - 0x84)];
                for item in items.iter_mut().rev() {
                    *item = self.pop()?;
                }
                Node::Tuple(items)
            }
        };
        self.push(node)
    }

    /// Puts values into the one below them.
    fn fill(&mut self, opcode: u8) -> Result<(), String> {
        let values = match opcode {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_to_mark()?,
        };
        let target = self.top()?;
        match (opcode, self.node_mut(target)) {
            (b'a' | b'e', Node::List(items)) | (0x90, Node::Set(items)) => items.extend(values),
            (b'a' | b'e' | 0x90, Node::Call(call)) => call.items.extend(values),
            (b's' | b'u', Node::Dict(all)) => all.extend(pairs(&values)?),
            (b's' | b'u', Node::Call(call)) => call.pairs.extend(pairs(&values)?),
            (_, node) => return Err(format!("it cannot fill {}", node.noun())),
        }
        Ok(())
    }

    fn shuffle(&mut self, opcode: u8) -> Result<(), String> {
        match opcode {
            b'(' => self.marks.push(self.stack.len()),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => self.stack.push(self.top()?),
            // POP takes a mark away where one is on top.
            _ if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            _ => drop(self.pop()?),
        }
        Ok(())
    }

    fn remember(&mut self, opcode: u8) -> Result<(), String> {
        let index = match opcode {
            b'g' | b'p' => text::index(self.line()?)?,
            b'h' | b'q' => u8::from_le_bytes(self.array()?).into(),
            b'j' | b'r' => u32::from_le_bytes(self.array()?),
            _ => u32::try_from(self.memo.len()).map_err(|_| "too many values are remembered")?,
        };
        if matches!(opcode, b'g' | b'h' | b'j') {
            let id = *self.memo.get(&index).ok_or_else(|| format!("nothing is remembered under {index}"))?;
            self.stack.push(id);
        } else {
            self.memo.insert(index, self.top()?);
        }
        Ok(())
    }

    fn object(&mut self, opcode: u8) -> Result<(), String> {
        match opcode {
            b'c' => {
                let global = self.global_of_lines()?;
                self.push(global)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let global = Node::Global { module: self.plain_text(module)?, name: self.plain_text(name)? };
                self.push(global)
            }
            b'R' | 0x81 => {
                let (args, callable) = (self.pop()?, self.pop()?);
                self.push_call(callable, args, None)
            }
            0x92 => {
                let (kwargs, args, callable) = (self.pop()?, self.pop()?, self.pop()?);
                self.push_call(callable, args, Some(kwargs))
            }
            b'i' => {
                let global = self.global_of_lines()?;
                let callable = self.add(global)?;
                let args = self.pop_to_mark()?;
                let args = self.add(Node::Tuple(args))?;
                self.push_call(callable, args, None)
            }
            b'o' => {
                let mut args = self.pop_to_mark()?;
                if args.is_empty() {
                    return Err("there is no class above the mark".into());
                }
                let callable = args.remove(0);
                let args = self.add(Node::Tuple(args))?;
                self.push_call(callable, args, None)
            }
            b'P' => {
                let name = text::utf8(self.line()?)?;
                let name = self.add(Node::Str(Cow::Borrowed(name)))?;
                self.push(Node::Persistent(name))
            }
            b'Q' => {
                let name = self.pop()?;
                self.push(Node::Persistent(name))
            }
            _ => self.build(),
        }
    }

    /// BUILD: the state of the object below.
    fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        let target = self.top()?;
        match self.node_mut(target) {
            Node::Call(call) if call.state.is_none() => call.state = Some(state),
            Node::Call(_) => return Err("the object below has a state already".into()),
            node => return Err(format!("it cannot set the state of {}", node.noun())),
        }
        Ok(())
    }

    fn push_call(&mut self, callable: Id, args: Id, kwargs: Option<Id>) -> Result<(), String> {
        self.push(Node::Call(Box::new(Call { callable, args, kwargs, state: None, items: Vec::new(), pairs: Vec::new() })))
    }

    fn global_of_lines(&mut self) -> Result<Node<'a>, String> {
        Ok(Node::Global { module: text::utf8(self.line()?)?, name: text::utf8(self.line()?)? })
    }

    /// A string that lies in the input. One that was made from escapes would be copied once a name, which is how a small
    /// pickle could fill the memory.
    fn plain_text(&self, id: Id) -> Result<&'a str, String> {
        match self.nodes.get(id.0 as usize) {
            Some(Node::Str(Cow::Borrowed(text))) => Ok(text),
            Some(Node::Str(_)) => Err("a name is written with escapes".into()),
            Some(node) => Err(format!("a name is {}, expected a string", node.noun())),
            None => Err("the stack is empty".into()),
        }
    }

    fn add(&mut self, node: Node<'a>) -> Result<Id, String> {
        if self.nodes.len() >= MOST_NODES {
            return Err(format!("the pickle has more than {MOST_NODES} values"));
        }
        let id = Id(self.nodes.len() as u32);
        self.nodes.push(node);
        Ok(id)
    }

    fn push(&mut self, node: Node<'a>) -> Result<(), String> {
        let id = self.add(node)?;
        self.stack.push(id);
        Ok(())
    }

    /// Ids on the stack are of nodes that are there.
    fn node_mut(&mut self, id: Id) -> &mut Node<'a> {
        &mut self.nodes[id.0 as usize]
    }

    /// The value on top, which stays. What is below a mark is out of reach.
    fn top(&self) -> Result<Id, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(id) if self.stack.len() > floor => Ok(*id),
            _ => Err("the stack is empty".into()),
        }
    }

    fn pop(&mut self) -> Result<Id, String> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    /// Takes the values above the last mark, and the mark.
    fn pop_to_mark(&mut self) -> Result<Vec<Id>, String> {
        let height = self.marks.pop().ok_or("there is no mark on the stack")?;
        Ok(self.stack.split_off(height))
    }

    /// The next `length` bytes.
    fn take(&mut self, length: u64) -> Result<&'a [u8], String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let bytes = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let bytes = bytes.ok_or_else(|| format!("it needs {length} bytes, where {} are left", rest.len()))?;
        self.at += bytes.len();
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let bytes = self.take(N as u64)?;
        bytes.try_into().map_err(|_| format!("it needs {N} bytes"))
    }

    fn signed_length(&mut self) -> Result<u64, String> {
        let length = i32::from_le_bytes(self.array()?);
        u64::try_from(length).map_err(|_| format!("its length is {length}"))
    }

    /// The bytes up to the next newline, which is taken too.
    fn line(&mut self) -> Result<&'a [u8], String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or("its line does not end")?;
        self.at += length + 1;
        Ok(&rest[..length])
    }
}

fn pairs(values: &[Id]) -> Result<Vec<(Id, Id)>, String> {
    match values.as_chunks::<2>() {
        (pairs, []) => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
        _ => Err(format!("{} values are no pairs", values.len())),
    }
}
