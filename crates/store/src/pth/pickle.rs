//! A reader of pickles that builds nothing but tuples, lists, dictionaries and the description of
//! tensors.
//!
//! A pickle is a program for a machine with a stack, a memo and the power to call any function of
//! Python. Here a name is looked up in [`Global::of`], and calling is a `match` over what that gives. What any other
//! name would make is a value without a content, whatever it is given; no weight can be made of it. Objects lie in one list and refer to each other by number, so that
//! sharing costs nothing, and a cycle or deep nesting does no harm when they are dropped.

mod op;
mod values;

use std::collections::HashMap;

use values::{Kind, Object};
pub(super) use values::{Pickle, Storage, Tensor, Value};

use super::flaw::{Flaw, shown};
use super::globals::{Global, is_harmful};

/// Longest pickle that is read, in bytes. With the optimizer's moments the largest model of this
/// project needs some 400 KB; the rest is for settings and records.
pub const MAX_PICKLE_BYTES: usize = 8 << 20;
/// Most values that one pickle may hold, repetitions counted: twenty a tensor, 24 bytes each.
pub const MAX_VALUES: usize = 1 << 19;
/// Most memo entries. Writers memoize at most once a value.
pub const MAX_MEMO: usize = 1 << 18;
/// Deepest nesting. Checkpoints are some eight levels deep.
pub const MAX_DEPTH: usize = 64;
/// Most tensors in one pickle: the largest model and its optimizer's moments are some 1,300.
pub const MAX_TENSORS: usize = 1 << 15;

/// Reads the pickle that begins at `start`.
pub(super) fn read(bytes: &[u8], start: usize) -> Result<Pickle<'_>, Flaw> {
    let root = Value::None;
    let pickle = Pickle {
        root,
        end: 0,
        storages: Vec::new(),
        tensors: Vec::new(),
        foreign: Vec::new(),
        objects: Vec::new(),
    };
    let mut machine = Machine {
        bytes,
        at: start,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
        values: 0,
        storages_by_key: HashMap::new(),
        pickle,
    };
    machine.run()?;
    Ok(machine.pickle)
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: Vec<Value<'a>>,
    /// Values pushed so far.
    values: usize,
    storages_by_key: HashMap<&'a str, usize>,
    pickle: Pickle<'a>,
}

impl<'a> Machine<'a> {
    #[expect(clippy::too_many_lines, reason = "one arm an opcode")]
    fn run(&mut self) -> Result<(), Flaw> {
        loop {
            let at = self.at;
            match self.byte()? {
                op::PROTO => {
                    let protocol = self.byte()?;
                    if !(2..=5).contains(&protocol) {
                        return Err(self.malformed("a protocol other than 2 to 5"));
                    }
                }
                // How many bytes a reader may fetch at once.
                op::FRAME => {
                    self.take(8)?;
                }
                op::STOP => {
                    self.pickle.root = self.pop()?;
                    self.pickle.end = self.at;
                    return Ok(());
                }
                // What writers make of objects that hold themselves.
                op::POP => {
                    self.pop()?;
                }
                op::POP_MARK => {
                    self.pop_to_mark()?;
                }
                op::DUP => {
                    let value = self.top()?;
                    self.push(value)?;
                }
                op::MARK => {
                    limit("open marks", self.marks.len() + 1, MAX_DEPTH)?;
                    self.marks.push(self.stack.len());
                }

                op::NONE => self.push(Value::None)?,
                op::NEWTRUE => self.push(Value::Bool(true))?,
                op::NEWFALSE => self.push(Value::Bool(false))?,
                op::BININT => {
                    let value = i32::from_le_bytes(self.array()?);
                    self.push(Value::Int(value.into()))?;
                }
                op::BININT1 => {
                    let value = self.byte()?;
                    self.push(Value::Int(value.into()))?;
                }
                op::BININT2 => {
                    let value = u16::from_le_bytes(self.array()?);
                    self.push(Value::Int(value.into()))?;
                }
                op::LONG1 => {
                    let value = self.long()?;
                    self.push(value)?;
                }
                op::LONG4 => {
                    let length = self.length4()?;
                    self.skip(length)?;
                }
                op::BINFLOAT => {
                    self.take(8)?;
                    self.push(Value::Opaque)?;
                }

                op::SHORT_BINUNICODE => {
                    let length = self.byte()?.into();
                    self.text(length)?;
                }
                op::BINUNICODE => {
                    let length = self.length4()?;
                    self.text(length)?;
                }
                op::BINUNICODE8 => {
                    let length = self.length8()?;
                    self.text(length)?;
                }
                op::SHORT_BINBYTES => {
                    let length = self.byte()?.into();
                    self.skip(length)?;
                }
                op::BINBYTES => {
                    let length = self.length4()?;
                    self.skip(length)?;
                }
                op::BINBYTES8 | op::BYTEARRAY8 => {
                    let length = self.length8()?;
                    self.skip(length)?;
                }

                op::EMPTY_TUPLE => self.object(Kind::Tuple, Vec::new())?,
                op::TUPLE1 => self.short_tuple(1)?,
                op::TUPLE2 => self.short_tuple(2)?,
                op::TUPLE3 => self.short_tuple(3)?,
                op::TUPLE => {
                    let items = self.pop_to_mark()?;
                    self.object(Kind::Tuple, items)?;
                }
                op::EMPTY_LIST => self.object(Kind::List, Vec::new())?,
                op::APPEND => {
                    let item = self.pop()?;
                    self.extend(Kind::List, &[item])?;
                }
                op::APPENDS => {
                    let items = self.pop_to_mark()?;
                    self.extend(Kind::List, &items)?;
                }
                op::EMPTY_DICT => self.object(Kind::Dictionary, Vec::new())?,
                op::SETITEM => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.extend(Kind::Dictionary, &[key, value])?;
                }
                op::SETITEMS => {
                    let items = self.pop_to_mark()?;
                    if items.len() % 2 != 0 {
                        return Err(self.malformed("a key without a value"));
                    }
                    self.extend(Kind::Dictionary, &items)?;
                }
                op::EMPTY_SET => self.push(Value::Opaque)?,
                op::ADDITEMS => {
                    self.pop_to_mark()?;
                    if !matches!(self.top()?, Value::Opaque | Value::Foreign(_)) {
                        return Err(self.malformed("items added to what is no set"));
                    }
                }
                op::FROZENSET => {
                    self.pop_to_mark()?;
                    self.push(Value::Opaque)?;
                }

                op::BINPUT => {
                    let entry = self.byte()?.into();
                    self.memoize(entry)?;
                }
                op::LONG_BINPUT => {
                    let entry = self.length4()?;
                    self.memoize(entry)?;
                }
                op::MEMOIZE => self.memoize(self.memo.len())?,
                op::BINGET => {
                    let entry = self.byte()?.into();
                    self.recall(entry)?;
                }
                op::LONG_BINGET => {
                    let entry = self.length4()?;
                    self.recall(entry)?;
                }

                op::GLOBAL => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(module, name)?;
                }
                op::STACK_GLOBAL => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Value::Text(module), Value::Text(name)) = (module, name) else {
                        return Err(self.malformed("a name that is no text"));
                    };
                    self.global(module, name)?;
                }
                op::REDUCE | op::NEWOBJ => {
                    let (arguments, callee) = (self.pop()?, self.pop()?);
                    let value = self.call(callee, arguments)?;
                    self.push(value)?;
                }
                op::NEWOBJ_EX => {
                    let (_named, arguments, callee) = (self.pop()?, self.pop()?, self.pop()?);
                    let value = self.call(callee, arguments)?;
                    self.push(value)?;
                }
                // Attributes of a record, and the versions of modules beside a state dict: dropped.
                op::BUILD => {
                    self.pop()?;
                    let target = self.top()?;
                    let is_record = matches!(target, Value::Opaque | Value::Foreign(_))
                        || self.pickle.items(target, Kind::Dictionary).is_some();
                    if !is_record {
                        return Err(self.malformed("attributes of what has none"));
                    }
                }
                op::BINPERSID => {
                    let reference = self.pop()?;
                    let storage = self.storage(reference)?;
                    self.push(storage)?;
                }
                opcode => return Err(Flaw::Opcode { opcode, at }),
            }
        }
    }

    fn malformed(&self, what: &'static str) -> Flaw {
        Flaw::Pickle { at: self.at, what }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Flaw> {
        let taken = self.bytes[self.at..].get(..count);
        let taken = taken.ok_or_else(|| match self.bytes.len() {
            // The file may go on: no more of it was fetched.
            MAX_PICKLE_BYTES => Flaw::Limit { what: "bytes of a pickle", limit: MAX_PICKLE_BYTES },
            _ => self.malformed("it ends in the middle"),
        })?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        Ok(*self.take(N)?.as_array().expect("so many bytes were taken"))
    }

    fn byte(&mut self) -> Result<u8, Flaw> {
        self.array().map(|[byte]| byte)
    }

    fn length4(&mut self) -> Result<usize, Flaw> {
        Ok(usize::try_from(u32::from_le_bytes(self.array()?)).unwrap_or(usize::MAX))
    }

    fn length8(&mut self) -> Result<usize, Flaw> {
        Ok(usize::try_from(u64::from_le_bytes(self.array()?)).unwrap_or(usize::MAX))
    }

    /// An integer of up to 255 bytes, in two's complement.
    fn long(&mut self) -> Result<Value<'a>, Flaw> {
        let length = self.byte()?.into();
        let bytes = self.take(length)?;
        let Some(&last) = bytes.last() else { return Ok(Value::Int(0)) };
        if length > 8 {
            return Ok(Value::Opaque);
        }
        let mut value = [if last < 0x80 { 0 } else { 0xff }; 8];
        value[..length].copy_from_slice(bytes);
        Ok(Value::Int(i64::from_le_bytes(value)))
    }

    fn text(&mut self, length: usize) -> Result<(), Flaw> {
        let text = std::str::from_utf8(self.take(length)?)
            .map_err(|_| self.malformed("a text that is not UTF-8"))?;
        self.push(Value::Text(text))
    }

    fn skip(&mut self, length: usize) -> Result<(), Flaw> {
        self.take(length)?;
        self.push(Value::Opaque)
    }

    fn line(&mut self) -> Result<&'a str, Flaw> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        let line = std::str::from_utf8(self.take(length)?);
        self.take(1)?;
        line.map_err(|_| self.malformed("a name that is not UTF-8"))
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), Flaw> {
        self.values += 1;
        limit("values", self.values, MAX_VALUES)?;
        self.stack.push(value);
        Ok(())
    }

    /// Values that an operation may reach: those above the last mark.
    fn reach(&self) -> usize {
        self.stack.len() - self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Value<'a>, Flaw> {
        match self.stack.last() {
            Some(&value) if self.reach() > 0 => Ok(value),
            _ => Err(self.malformed("an operation without its values")),
        }
    }

    fn pop(&mut self) -> Result<Value<'a>, Flaw> {
        let value = self.top()?;
        self.stack.pop();
        Ok(value)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value<'a>>, Flaw> {
        let mark =
            self.marks.pop().ok_or_else(|| self.malformed("an operation without its mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn memoize(&mut self, entry: usize) -> Result<(), Flaw> {
        let value = self.top()?;
        // Writers number their entries from 0 on, without a gap.
        if entry > self.memo.len() {
            return Err(self.malformed("a memo entry far beyond the others"));
        }
        limit("memo entries", entry + 1, MAX_MEMO)?;
        match self.memo.get_mut(entry) {
            Some(place) => *place = value,
            None => self.memo.push(value),
        }
        Ok(())
    }

    fn recall(&mut self, entry: usize) -> Result<(), Flaw> {
        let value = self.memo.get(entry).copied();
        self.push(value.ok_or_else(|| self.malformed("a memo entry that is not there"))?)
    }

    fn depth_of(&self, items: &[Value<'a>]) -> Result<usize, Flaw> {
        let depths = items.iter().map(|item| match item {
            Value::Object(object) => self.pickle.objects[*object].depth,
            _ => 0,
        });
        let depth = 1 + depths.max().unwrap_or(0);
        limit("levels of nesting", depth, MAX_DEPTH)?;
        Ok(depth)
    }

    fn object(&mut self, kind: Kind, items: Vec<Value<'a>>) -> Result<(), Flaw> {
        let depth = self.depth_of(&items)?;
        self.pickle.objects.push(Object { kind, items, depth });
        self.push(Value::Object(self.pickle.objects.len() - 1))
    }

    fn short_tuple(&mut self, length: usize) -> Result<(), Flaw> {
        if self.reach() < length {
            return Err(self.malformed("an operation without its values"));
        }
        let items = self.stack.split_off(self.stack.len() - length);
        self.object(Kind::Tuple, items)
    }

    /// Adds to the list or dictionary on top of the stack.
    fn extend(&mut self, kind: Kind, items: &[Value<'a>]) -> Result<(), Flaw> {
        let depth = self.depth_of(items)?;
        match self.top()? {
            Value::Object(object) if self.pickle.objects[object].kind == kind => {
                let object = &mut self.pickle.objects[object];
                object.depth = object.depth.max(depth);
                object.items.extend_from_slice(items);
                Ok(())
            }
            Value::Opaque | Value::Foreign(_) => Ok(()),
            _ => Err(self.malformed("items added to what holds none")),
        }
    }

    fn global(&mut self, module: &'a str, name: &'a str) -> Result<(), Flaw> {
        if let Some(global) = Global::of(module, name) {
            return self.push(Value::Global(global));
        }
        if is_harmful(module, name) {
            return Err(Flaw::Global { name: shown(&format!("{module}.{name}")) });
        }
        self.pickle.foreign.push([module, name]);
        self.push(Value::Foreign(self.pickle.foreign.len() - 1))
    }

    fn call(&mut self, callee: Value<'a>, arguments: Value<'a>) -> Result<Value<'a>, Flaw> {
        if let Value::Foreign(_) = callee {
            return Ok(callee);
        }
        let (Value::Global(callee), Some(arguments)) =
            (callee, self.pickle.items(arguments, Kind::Tuple))
        else {
            return Err(self.malformed("a call of what cannot be called"));
        };
        match callee {
            // A factory for missing values may be given; a list of items would be lost.
            Global::Dictionary if arguments.iter().all(|a| matches!(a, Value::Global(_))) => {
                let items = Vec::new();
                self.pickle.objects.push(Object { kind: Kind::Dictionary, items, depth: 1 });
                Ok(Value::Object(self.pickle.objects.len() - 1))
            }
            Global::Inert => Ok(Value::Opaque),
            // requires_grad and hooks follow.
            Global::Parameter => match arguments {
                [tensor @ (Value::Tensor(_) | Value::Foreign(_)), ..] => Ok(*tensor),
                _ => Err(self.malformed("a parameter without a tensor")),
            },
            // Of values of a kind that is not known here.
            Global::Tensor | Global::TensorOnBytes
                if matches!(arguments.first(), Some(Value::Foreign(_))) =>
            {
                Ok(arguments[0])
            }
            Global::Tensor | Global::TensorOnBytes => {
                let tensor = self.tensor(callee, arguments)?;
                limit("tensors", self.pickle.tensors.len() + 1, MAX_TENSORS)?;
                self.pickle.tensors.push(tensor);
                Ok(Value::Tensor(self.pickle.tensors.len() - 1))
            }
            Global::Dictionary | Global::Storage(_) | Global::Bytes | Global::Dtype(_) => {
                Err(self.malformed("a call that torch.save does not write"))
            }
        }
    }

    fn tensor(&self, callee: Global, arguments: &[Value<'a>]) -> Result<Tensor, Flaw> {
        let malformed = || self.malformed("a tensor that is not described as torch.save does");
        let (&[Value::Storage(storage), Value::Int(offset), shape, strides], rest) =
            arguments.split_first_chunk().ok_or_else(malformed)?
        else {
            return Err(malformed());
        };
        // requires_grad and hooks; what follows further changes the values (a lazy negation).
        let dtype = match (callee, rest) {
            (Global::TensorOnBytes, &[_, _, Value::Global(Global::Dtype(dtype))]) => dtype,
            (Global::Tensor, [] | [_, _]) => {
                self.pickle.storages[storage].dtype.ok_or_else(malformed)?
            }
            _ => return Err(malformed()),
        };
        let numbers = |tuple| -> Option<Vec<usize>> {
            let number = |value: &Value| match value {
                Value::Int(value) => usize::try_from(*value).ok(),
                _ => None,
            };
            self.pickle.items(tuple, Kind::Tuple)?.iter().map(number).collect()
        };
        Ok(Tensor {
            storage,
            dtype,
            offset: usize::try_from(offset).map_err(|_| malformed())?,
            shape: numbers(shape).ok_or_else(malformed)?,
            strides: numbers(strides).ok_or_else(malformed)?,
        })
    }

    /// `("storage", torch.FloatStorage, key, device, length)`, in the older form with `None` behind.
    /// What else stands outside of a pickle, such as the source of a module, is passed over.
    fn storage(&mut self, reference: Value<'a>) -> Result<Value<'a>, Flaw> {
        let malformed = self.malformed("a storage that is not described as torch.save does");
        match self.pickle.items(reference, Kind::Tuple) {
            Some(&[Value::Text("module"), ..]) => return Ok(Value::Opaque),
            Some(&[Value::Text("storage"), kind @ Value::Foreign(_), ..]) => return Ok(kind),
            _ => {}
        }
        let Some(
            &[Value::Text("storage"), Value::Global(kind), Value::Text(key), _, Value::Int(length)]
            | &[
                Value::Text("storage"),
                Value::Global(kind),
                Value::Text(key),
                _,
                Value::Int(length),
                Value::None,
            ],
        ) = self.pickle.items(reference, Kind::Tuple)
        else {
            return Err(malformed);
        };
        let dtype = match kind {
            Global::Storage(dtype) => Some(dtype),
            Global::Bytes => None,
            _ => return Err(malformed),
        };
        let Ok(length) = u64::try_from(length) else { return Err(malformed) };
        let storage = Storage { key, dtype, length };
        let next = self.pickle.storages.len();
        let number = *self.storages_by_key.entry(key).or_insert(next);
        if number == next {
            limit("tensors", next + 1, MAX_TENSORS)?;
            self.pickle.storages.push(storage);
        } else if self.pickle.storages[number] != storage {
            return Err(self.malformed("a storage described in two ways"));
        }
        Ok(Value::Storage(number))
    }
}

fn limit(what: &'static str, found: usize, limit: usize) -> Result<(), Flaw> {
    if found > limit { Err(Flaw::Limit { what, limit }) } else { Ok(()) }
}
