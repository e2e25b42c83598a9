// DieShapes: how the DIEs of a unit are laid out, from its abbreviations.
//
// Each abbreviation becomes a few steps: what nobody asks for is one step of so
// many bytes, however many attributes that are, and a value is read only where
// a walk for code needs it. libdw looks each abbreviation up anew, under a
// lock, and goes over the attributes again for each question.
// Thread: immutable once built.
// Bound: kMaxShapes, kMaxSteps, kMaxStepsOfShape.
#ifndef SYMBOLIZER_DIE_SHAPES_H_
#define SYMBOLIZER_DIE_SHAPES_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "symbolizer/byte_reader.h"

namespace pprofd {

// What the sizes of forms depend on.
struct UnitFormat {
  uint16_t version = 0;
  uint8_t address_size = 8;
  uint8_t offset_size = 4;

  bool operator==(const UnitFormat&) const = default;
};

// A value as it is in the unit: `form` says what it counts, 0 = absent.
struct FormValue {
  uint16_t form = 0;
  uint64_t value = 0;  // 0 where it is no number

  bool is_constant() const;
};

// Values that a walk for code needs, of one DIE.
struct DieValues {
  FormValue sibling;  // of DIEs with children
  // Of those with code:
  FormValue low_pc;
  FormValue high_pc;
  FormValue ranges;
  FormValue origin;
  FormValue call_file;
  FormValue call_line;
  FormValue call_column;
};

struct DieShape {
  uint16_t tag = 0;
  bool has_children = false;
  bool may_hold_code = false;  // DIEs of this kind may, below them
  bool has_code = false;  // a function or inlined call that says where it is
  uint32_t first_step = 0;
  uint32_t step_count = 0;
  uint64_t plain_bytes = 0;  // of the attributes, if there are no steps
};

class DieShapes {
 public:
  static constexpr size_t kMaxShapes = 1 << 18;
  static constexpr size_t kMaxSteps = 1 << 21;
  static constexpr size_t kMaxStepsOfShape = 512;

  // The table that `abbreviations` begins with; cut where it makes no sense.
  static DieShapes Read(std::span<const uint8_t> abbreviations,
                        const UnitFormat& format);

  // nullptr: there is none.
  const DieShape* Find(uint64_t code) const {
    if (code - 1 < shapes_.size()) return &shapes_[code - 1];
    auto it = sparse_.find(code);
    return it == sparse_.end() ? nullptr : &it->second;
  }

  // Goes over the attributes of a DIE, from behind its code. `reader` fails
  // where they cannot be told.
  DieValues ReadValues(const DieShape& shape, ByteReader& reader) const;
  // The same for a DIE of which nothing but the sibling matters.
  FormValue ReadSibling(const DieShape& shape, ByteReader& reader) const {
    if (shape.step_count > 0) return ReadSiblingByStep(shape, reader);
    reader.Skip(shape.plain_bytes);
    return {};
  }

 private:
  enum class Role : uint8_t {
    kNone,
    kSibling,
    kLowPc,
    kHighPc,
    kRanges,
    kOrigin,
    kCallFile,
    kCallLine,
    kCallColumn,
  };
  struct Step {
    uint16_t form = 0;
    Role role = Role::kNone;
    uint64_t operand =
        0;  // form 0: bytes to be skipped; else an implicit value
  };

  static Role RoleOf(uint64_t attribute, const DieShape& shape);
  static FormValue* Slot(Role role, DieValues& values);
  bool ReadShape(ByteReader& reader, DieShape& shape);
  bool ReadSteps(ByteReader& reader, DieShape& shape);
  FormValue ReadSiblingByStep(const DieShape& shape, ByteReader& reader) const;
  void AddStep(const Step& step, const DieShape& shape);
  FormValue ReadValue(const Step& step, ByteReader& reader) const;

  UnitFormat format_;
  std::vector<DieShape> shapes_;  // by code, from 1
  absl::flat_hash_map<uint64_t, DieShape> sparse_;
  std::vector<Step> steps_;
};

}  // namespace pprofd

#endif  // SYMBOLIZER_DIE_SHAPES_H_
