#include "symbolizer/die_shapes.h"

#include <dwarf.h>

#include <limits>
#include <optional>

namespace pprofd {
namespace {

// Forms are numbers below 0x2000, those of GNU included.
constexpr uint64_t kMaxForm = std::numeric_limits<uint16_t>::max();

bool IsCall(uint64_t tag) {
  return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine;
}

bool MayHoldCode(uint64_t tag) {
  switch (tag) {
    case DW_TAG_subprogram:
    case DW_TAG_inlined_subroutine:
    case DW_TAG_lexical_block:
    case DW_TAG_try_block:
    case DW_TAG_catch_block:
    case DW_TAG_with_stmt:
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_interface_type:
      return true;
    default:
      return false;
  }
}

// Bytes of a value whose size the form alone says; nothing for other forms.
std::optional<uint8_t> SizeOf(uint16_t form, const UnitFormat& format) {
  switch (form) {
    case DW_FORM_flag_present:
    case DW_FORM_implicit_const:
      return 0;
    case DW_FORM_data1:
    case DW_FORM_ref1:
    case DW_FORM_flag:
    case DW_FORM_strx1:
    case DW_FORM_addrx1:
      return 1;
    case DW_FORM_data2:
    case DW_FORM_ref2:
    case DW_FORM_strx2:
    case DW_FORM_addrx2:
      return 2;
    case DW_FORM_strx3:
    case DW_FORM_addrx3:
      return 3;
    case DW_FORM_data4:
    case DW_FORM_ref4:
    case DW_FORM_strx4:
    case DW_FORM_addrx4:
    case DW_FORM_ref_sup4:
      return 4;
    case DW_FORM_data8:
    case DW_FORM_ref8:
    case DW_FORM_ref_sig8:
    case DW_FORM_ref_sup8:
      return 8;
    case DW_FORM_data16:
      return 16;
    case DW_FORM_addr:
      return format.address_size;
    case DW_FORM_ref_addr:
      return format.version <= 2 ? format.address_size : format.offset_size;
    case DW_FORM_sec_offset:
    case DW_FORM_strp:
    case DW_FORM_line_strp:
    case DW_FORM_strp_sup:
    case DW_FORM_GNU_strp_alt:
    case DW_FORM_GNU_ref_alt:
      return format.offset_size;
    default:
      return std::nullopt;
  }
}

// 0 for values that are no numbers.
uint64_t ReadSized(uint8_t size, ByteReader& reader) {
  switch (size) {
    case 1:
    case 2:
    case 4:
    case 8:
      return reader.Unsigned(size);
    case 3: {
      uint64_t low = reader.U16();
      return low | uint64_t{reader.U8()} << 16;
    }
    default:
      reader.Skip(size);
      return 0;
  }
}

}  // namespace

bool FormValue::is_constant() const {
  switch (form) {
    case DW_FORM_data1:
    case DW_FORM_data2:
    case DW_FORM_data4:
    case DW_FORM_data8:
    case DW_FORM_udata:
    case DW_FORM_sdata:
    case DW_FORM_implicit_const:
      return true;
    default:
      return false;
  }
}

DieShapes DieShapes::Read(std::span<const uint8_t> abbreviations,
                          const UnitFormat& format) {
  DieShapes shapes;
  shapes.format_ = format;
  ByteReader reader(abbreviations);
  while (shapes.shapes_.size() + shapes.sparse_.size() < kMaxShapes &&
         shapes.steps_.size() < kMaxSteps) {
    uint64_t code = reader.Uleb();
    DieShape shape;
    if (code == 0 || !shapes.ReadShape(reader, shape)) break;
    if (code == shapes.shapes_.size() + 1) {
      shapes.shapes_.push_back(shape);
    } else {
      shapes.sparse_.try_emplace(code, shape);
    }
  }
  return shapes;
}

bool DieShapes::ReadShape(ByteReader& reader, DieShape& shape) {
  uint64_t tag = reader.Uleb();
  if (tag <= std::numeric_limits<uint16_t>::max()) {
    shape.tag = static_cast<uint16_t>(tag);
  }
  shape.has_children = reader.U8() == DW_CHILDREN_yes;
  bool is_call = IsCall(tag);
  shape.has_code = is_call;
  shape.may_hold_code = MayHoldCode(tag);
  ByteReader attributes = reader;
  if (!ReadSteps(reader, shape)) return false;
  if (is_call && !shape.has_code) {  // then no value matters
    steps_.resize(shape.first_step);
    ReadSteps(attributes, shape);
  }
  if (shape.step_count == 1 && steps_.back().form == 0) {
    shape.plain_bytes = steps_.back().operand;
    shape.step_count = 0;
    steps_.pop_back();
  }
  return true;
}

bool DieShapes::ReadSteps(ByteReader& reader, DieShape& shape) {
  bool has_code = false;
  shape.first_step = static_cast<uint32_t>(steps_.size());
  while (reader.ok()) {
    uint64_t attribute = reader.Uleb();
    uint64_t form = reader.Uleb();
    Step step;
    if (form == DW_FORM_implicit_const) {
      step.operand = static_cast<uint64_t>(reader.Sleb());
    }
    if (attribute == 0 && form == 0) break;
    if (form == 0 || form > kMaxForm ||
        steps_.size() - shape.first_step >= kMaxStepsOfShape) {
      return false;
    }
    step.form = static_cast<uint16_t>(form);
    step.role = RoleOf(attribute, shape);
    if (step.role == Role::kLowPc || step.role == Role::kRanges) {
      has_code = true;
    }
    AddStep(step, shape);
  }
  shape.has_code = has_code;
  shape.step_count = static_cast<uint32_t>(steps_.size()) - shape.first_step;
  return reader.ok();
}

// Joins what is to be skipped.
void DieShapes::AddStep(const Step& step, const DieShape& shape) {
  std::optional<uint8_t> size = SizeOf(step.form, format_);
  if (step.role != Role::kNone || !size) {
    steps_.push_back(step);
    return;
  }
  if (*size == 0) return;
  bool is_first = steps_.size() == shape.first_step;
  if (is_first || steps_.back().form != 0) steps_.emplace_back();
  steps_.back().operand += *size;
}

DieShapes::Role DieShapes::RoleOf(uint64_t attribute, const DieShape& shape) {
  if (attribute == DW_AT_sibling && shape.has_children) return Role::kSibling;
  if (!shape.has_code) return Role::kNone;
  switch (attribute) {
    case DW_AT_low_pc:
      return Role::kLowPc;
    case DW_AT_high_pc:
      return Role::kHighPc;
    case DW_AT_ranges:
      return Role::kRanges;
    case DW_AT_abstract_origin:
      return Role::kOrigin;
    case DW_AT_call_file:
      return Role::kCallFile;
    case DW_AT_call_line:
      return Role::kCallLine;
    case DW_AT_call_column:
      return Role::kCallColumn;
    default:
      return Role::kNone;
  }
}

FormValue* DieShapes::Slot(Role role, DieValues& values) {
  switch (role) {
    case Role::kNone:
      return nullptr;
    case Role::kSibling:
      return &values.sibling;
    case Role::kLowPc:
      return &values.low_pc;
    case Role::kHighPc:
      return &values.high_pc;
    case Role::kRanges:
      return &values.ranges;
    case Role::kOrigin:
      return &values.origin;
    case Role::kCallFile:
      return &values.call_file;
    case Role::kCallLine:
      return &values.call_line;
    case Role::kCallColumn:
      return &values.call_column;
  }
  return nullptr;
}

DieValues DieShapes::ReadValues(const DieShape& shape,
                                ByteReader& reader) const {
  DieValues values;
  reader.Skip(shape.plain_bytes);
  for (uint32_t i = 0; i < shape.step_count; ++i) {
    const Step& step = steps_[shape.first_step + i];
    if (step.form == 0) {
      reader.Skip(step.operand);
      continue;
    }
    FormValue value = ReadValue(step, reader);
    if (FormValue* slot = Slot(step.role, values)) *slot = value;
  }
  return values;
}

FormValue DieShapes::ReadSiblingByStep(const DieShape& shape,
                                       ByteReader& reader) const {
  FormValue sibling;
  for (uint32_t i = 0; i < shape.step_count; ++i) {
    const Step& step = steps_[shape.first_step + i];
    if (step.form == 0) {
      reader.Skip(step.operand);
    } else if (step.role == Role::kSibling) {
      sibling = ReadValue(step, reader);
    } else {
      ReadValue(step, reader);
    }
  }
  return sibling;
}

FormValue DieShapes::ReadValue(const Step& step, ByteReader& reader) const {
  uint16_t form = step.form;
  if (form == DW_FORM_indirect) {
    uint64_t actual = reader.Uleb();
    // Once only, and what has its value elsewhere cannot be chosen here.
    bool is_bad = actual == DW_FORM_indirect || actual > kMaxForm ||
                  actual == DW_FORM_implicit_const;
    form = is_bad ? 0 : static_cast<uint16_t>(actual);
  }
  FormValue value{.form = form};
  if (form == DW_FORM_implicit_const) {
    value.value = step.operand;
    return value;
  }
  if (std::optional<uint8_t> size = SizeOf(form, format_)) {
    value.value = ReadSized(*size, reader);
    return value;
  }
  switch (form) {
    case DW_FORM_udata:
    case DW_FORM_ref_udata:
    case DW_FORM_strx:
    case DW_FORM_addrx:
    case DW_FORM_loclistx:
    case DW_FORM_rnglistx:
    case DW_FORM_GNU_addr_index:
    case DW_FORM_GNU_str_index:
      value.value = reader.Uleb();
      break;
    case DW_FORM_sdata:
      value.value = static_cast<uint64_t>(reader.Sleb());
      break;
    case DW_FORM_string:
      reader.CString();
      break;
    case DW_FORM_block:
    case DW_FORM_exprloc:
      reader.Skip(reader.Uleb());
      break;
    case DW_FORM_block1:
      reader.Skip(reader.U8());
      break;
    case DW_FORM_block2:
      reader.Skip(reader.U16());
      break;
    case DW_FORM_block4:
      reader.Skip(reader.U32());
      break;
    default:  // unknown: what follows cannot be found
      reader.Skip(UINT64_MAX);
  }
  return value;
}

}  // namespace pprofd
