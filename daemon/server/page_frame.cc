#include "daemon/server/page_frame.h"

#include <spdlog/fmt/fmt.h>

#include "daemon/server/text.h"

namespace pprofd {
namespace {

constexpr std::string_view kStyle = R"css(
:root { color-scheme: light dark; --fg: #1d2126; --bg: #ffffff; --dim: #667080;
  --line: #dde1e7; --soft: #f4f6f8; --link: #0a58ca;
  --bad: #b42318; }
@media (prefers-color-scheme: dark) { :root { --fg: #e4e7eb; --bg: #15181c;
  --dim: #98a2b0; --line: #2c323a; --soft: #1e2328; --link: #7db4ff;
  --bad: #ff8a80; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--fg);
  background: var(--bg); max-width: 76rem; margin: 1.5rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.35rem; margin: 0 0 .25rem; }
p { margin: .4rem 0; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
table { border-collapse: collapse; margin: .75rem 0; }
td, th { padding: .2rem .75rem .2rem 0; text-align: left;
  vertical-align: top; border-bottom: 1px solid var(--line); }
th { color: var(--dim); font-weight: 600; white-space: nowrap; }
tr:target { background: var(--soft); }
.n { text-align: right; font-variant-numeric: tabular-nums; }
.dim { color: var(--dim); }
code, pre, .cmd { font: 13px/1.5 ui-monospace, monospace;
  overflow-wrap: anywhere; }
pre { background: var(--soft); border: 1px solid var(--line);
  border-radius: 4px; padding: .5rem .75rem; white-space: pre-wrap;
  user-select: all; }
li { margin: .15rem 0; }
.bad { color: var(--bad); font-weight: 600; }
section { border-top: 1px solid var(--line); margin-top: 1rem; }
h2 { font-size: 1.05rem; margin: .75rem 0 .25rem; overflow-wrap: anywhere; }
)css";

}  // namespace

std::string PageHead(std::string_view title) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
      "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
      "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n",
      title, kStyle);
}

std::string PageEnd(std::string_view host_description) {
  return fmt::format("<p class='dim'>{}</p>\n</body>\n</html>\n",
                     HtmlText(host_description));
}

}  // namespace pprofd
