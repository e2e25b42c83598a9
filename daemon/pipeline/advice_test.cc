#include "daemon/pipeline/advice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pprofd {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Family = TargetSystem::Family;

// Built, with rows, stripped but for .dynsym.
ModuleFacts Stripped(const std::string& path) {
  ModuleFacts module;
  module.path = path;
  module.build_id = "abcdef0123";
  module.unwind.state = UnwindFacts::State::kBuilt;
  module.unwind.rows = 10;
  module.symbols.is_known = true;
  module.symbols.has_dynsym = true;
  return module;
}

std::string Words(const ModuleFacts& module) {
  std::string words;
  for (const Advice& advice : module.advice) {
    words += advice.text + "\n" + advice.command + "\n";
  }
  return words;
}

TEST(Advice, NamesWhatIsMissing) {
  ModuleFacts module = Stripped("/usr/bin/x");
  AdviseModule({}, &module);
  EXPECT_THAT(module.missing, ElementsAre("DWARF", "symbol table"));
  EXPECT_THAT(Words(module),
              HasSubstr("/usr/lib/debug/.build-id/ab/cdef0123.debug"));

  ModuleFacts whole = Stripped("/usr/bin/x");
  whole.symbols.has_dwarf = whole.symbols.has_symtab = true;
  AdviseModule({}, &whole);
  EXPECT_THAT(whole.missing, IsEmpty());
  EXPECT_THAT(whole.advice, IsEmpty());
}

TEST(Advice, NamesTheSystemsDebuginfodServerUnlessServersAreAsked) {
  ModuleFacts module = Stripped("/usr/bin/x");
  module.package = "x";
  AdviceContext debian{.family = Family::kDebian, .system = "Debian 12"};
  AdviseModule(debian, &module);
  EXPECT_THAT(Words(module), HasSubstr("[https://debuginfod.debian.net]"));

  ModuleFacts ubuntus = Stripped("/usr/bin/x");
  ubuntus.package = "x";
  AdviseModule({.family = Family::kDebian, .system = "Ubuntu 24.04"}, &ubuntus);
  EXPECT_THAT(Words(ubuntus), HasSubstr("[https://debuginfod.ubuntu.com]"));

  ModuleFacts foreign = Stripped("/opt/x");
  AdviseModule(debian, &foreign);
  EXPECT_THAT(Words(foreign), Not(HasSubstr("debuginfod.urls")));

  ModuleFacts asked = Stripped("/usr/bin/x");
  asked.package = "x";
  debian.asks_debuginfod = true;
  AdviseModule(debian, &asked);
  EXPECT_THAT(Words(asked), Not(HasSubstr("debuginfod.urls")));
}

TEST(Advice, SaysNothingOfWhatIsNotKnown) {
  ModuleFacts module;
  module.path = "/usr/bin/x";
  module.problem = "permission denied";
  AdviseModule({}, &module);
  EXPECT_THAT(module.missing, IsEmpty());
  EXPECT_THAT(module.advice, IsEmpty());
}

TEST(Advice, NamesTheDebianPackageOfAPackagedFile) {
  ModuleFacts module = Stripped("/usr/bin/bash");
  module.package = "bash";
  AdviseModule({.pid = 7, .family = Family::kDebian}, &module);
  EXPECT_THAT(module.advice,
              Contains(Field(&Advice::command, "apt-get install bash-dbgsym")));
  EXPECT_THAT(module.advice,
              Contains(Field(&Advice::command, "find-dbgsym-packages 7")));

  ModuleFacts libc = Stripped("/usr/lib/x86_64-linux-gnu/libc.so.6");
  libc.package = "libc6";
  AdviseModule({.pid = 7, .family = Family::kDebian, .asks_debuginfod = true},
               &libc);
  EXPECT_THAT(libc.advice, ElementsAre(Field(&Advice::command,
                                             "apt-get install libc6-dbg")));
}

TEST(Advice, KnowsThatDebiansPythonHasItsSymbolsInOnePackage) {
  for (const char* package : {"python3.11", "python3.11-minimal",
                              "libpython3.11-stdlib", "libpython3.11"}) {
    ModuleFacts module = Stripped("/usr/bin/python3.11");
    module.package = package;
    AdviseModule({.family = Family::kDebian, .asks_debuginfod = true}, &module);
    EXPECT_THAT(
        module.advice,
        ElementsAre(Field(&Advice::command, "apt-get install python3.11-dbg")));
  }
  ModuleFacts other = Stripped("/usr/lib/x.so");
  other.package = "python3.11-numpy";
  AdviseModule({.family = Family::kDebian, .asks_debuginfod = true}, &other);
  EXPECT_THAT(Words(other), HasSubstr("python3.11-numpy-dbgsym"));
}

TEST(Advice, DoesNotTellToInstallWhatIsInstalled) {
  ModuleFacts module = Stripped("/usr/bin/bash");
  module.package = "bash";
  AdviseModule({.family = Family::kDebian, .debug_packages = {"bash-dbgsym"}},
               &module);
  EXPECT_THAT(Words(module), HasSubstr("bash-dbgsym is installed"));
}

TEST(Advice, IsGenericForDebianFilesWithoutPackage) {
  ModuleFacts module = Stripped("/opt/own");
  AdviseModule({.pid = 9, .family = Family::kDebian}, &module);
  EXPECT_THAT(Words(module), HasSubstr("put its separate debug file"));
  EXPECT_THAT(Words(module), HasSubstr("find-dbgsym-packages 9"));
  EXPECT_THAT(Words(module), Not(HasSubstr("apt-get")));
}

TEST(Advice, QuotesPathsInCommands) {
  EXPECT_EQ(ShellQuoted("/a b/$(id)'x"), "'/a b/$(id)'\\''x'");
  ModuleFacts module = Stripped("/tmp/$(reboot)");
  AdviseModule({.family = Family::kFedora}, &module);
  EXPECT_THAT(Words(module), HasSubstr("dnf debuginfo-install \"$(rpm -qf "
                                       "'/tmp/$(reboot)')\""));
}

TEST(Advice, AsksForABuildIdWhereThereIsNone) {
  ModuleFacts module = Stripped("/opt/own");
  module.build_id = "";
  AdviseModule({}, &module);
  EXPECT_THAT(Words(module), HasSubstr("--build-id"));
  EXPECT_THAT(Words(module), Not(HasSubstr(".debug at")));
}

TEST(Advice, TellsHowToGetUnwindRows) {
  ModuleFacts module = Stripped("/opt/own");
  module.unwind.rows = 3;
  module.unwind.covered_bytes = 30;
  module.unwind.code_bytes = 4000;
  AdviseModule({}, &module);
  EXPECT_THAT(module.missing, Contains("unwind rows"));
  EXPECT_THAT(Words(module), HasSubstr("-fasynchronous-unwind-tables"));

  ModuleFacts cut = Stripped("/opt/own");
  cut.cut_samples = 1;
  AdviseModule({}, &cut);
  EXPECT_THAT(cut.missing, Contains("unwind rows"));

  ModuleFacts unmet = Stripped("/opt/own");
  unmet.unwind = {};
  unmet.unwind.state = UnwindFacts::State::kNotBuilt;
  unmet.unwind.eh_frame_functions = 3;
  AdviseModule({}, &unmet);
  EXPECT_THAT(unmet.missing, Not(Contains("unwind rows")));
}

TEST(Advice, KnowsTheRuntimesThatCanWriteAPerfMap) {
  JitFacts jit;
  jit.mappings = 1;
  jit.map_path = "/tmp/perf-7.map";
  EXPECT_THAT(AdviseJit(7, "/usr/bin/node", jit)[0].command,
              HasSubstr("--perf-basic-prof"));
  EXPECT_THAT(AdviseJit(7, "/usr/lib/jvm/bin/java", jit)[0].command,
              HasSubstr("jcmd 7 Compiler.perfmap"));
  EXPECT_THAT(AdviseJit(7, "/usr/bin/python3.12", jit)[0].command,
              HasSubstr("-X perf"));
  EXPECT_THAT(AdviseJit(7, "/opt/other", jit)[0].text,
              HasSubstr("/tmp/perf-7.map"));
  jit.has_map = true;
  EXPECT_THAT(AdviseJit(7, "/usr/bin/node", jit), IsEmpty());
  jit.has_map = false;
  jit.has_dump = true;
  EXPECT_THAT(AdviseJit(7, "/usr/bin/node", jit), IsEmpty());
  EXPECT_THAT(AdviseJit(7, "/usr/bin/node", JitFacts{}), IsEmpty());
}

TEST(Advice, TellsWhatHidesTheKernelsNames) {
  KernelFacts kernel;
  kernel.kptr_restrict = "2";
  EXPECT_EQ(AdviseKernel(kernel).size(), 2u);
  kernel.has_names = true;
  EXPECT_THAT(AdviseKernel(kernel), IsEmpty());
}

}  // namespace
}  // namespace pprofd
