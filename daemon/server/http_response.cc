#include "daemon/server/http_response.h"

#include <utility>

#include "daemon/server/text.h"

namespace pprofd {

HttpResponse Answer(std::string_view content_type, std::string body) {
  HttpResponse response;
  response.headers.emplace_back("Content-Type", content_type);
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  response.body = std::move(body);
  return response;
}

HttpResponse TextError(unsigned status, std::string_view text) {
  HttpResponse response = Answer(kTextPlain, OneLine(text) + "\n");
  response.status = status;
  response.headers.emplace_back("X-Go-Pprof", "1");
  return response;
}

HttpResponse BusyError(std::string_view text) {
  HttpResponse response = TextError(503, text);
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

HttpResponse Redirect(unsigned status, std::string_view location) {
  HttpResponse response;
  response.status = status;
  response.headers.emplace_back("Content-Type", "text/html; charset=utf-8");
  response.headers.emplace_back("Location", location);
  std::string_view reason = status == 301 ? "Moved Permanently" : "Found";
  response.body = "<a href=\"" + HtmlText(location) + "\">" +
                  std::string(reason) + "</a>.\n";
  return response;
}

}  // namespace pprofd
