package org.kalla.functions;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;

/**
 * Evaluates calls that are given as data: one JSON object {@code {"function", "args"}} a line on standard input, one JSON
 * value a line on standard output. It holds the functions here against their references in Python.
 */
public final class Table {
  private static final ObjectMapper JSON = new ObjectMapper();

  private Table() {}

  public static void main(String[] arguments) throws IOException {
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      JsonNode call = JSON.readTree(line);
      out.println(JSON.writeValueAsString(shown(call(call.get("function").asText(), call.get("args")))));
    }
    out.flush();
  }

  /** The value of one call; numbers, dates and texts come as text, null as null. */
  static Object call(String function, JsonNode args) {
    switch (function) {
      case "tolerance_match":
        return Numbers.toleranceMatch(number(args, 0), number(args, 1), number(args, 2));
      case "percent_match":
        return Numbers.percentMatch(number(args, 0), number(args, 1), number(args, 2));
      case "date_within":
        return Dates.dateWithin(moment(args, 0), moment(args, 1), number(args, 2));
      case "normalize_ref":
        return Texts.normalizeRef(text(args, 0), args.size() > 1 && args.get(1).asBoolean());
      case "text_similarity":
        return Texts.textSimilarity(text(args, 0), text(args, 1));
      case "regex_extract":
        return Texts.regexExtract(text(args, 0), text(args, 1), args.size() > 2 ? args.get(2).asInt() : 0);
      default:
        throw new IllegalArgumentException("There is no function " + function + ".");
    }
  }

  private static Object shown(Object value) {
    return value instanceof BigDecimal ? ((BigDecimal) value).toPlainString() : value;
  }

  private static String text(JsonNode args, int place) {
    JsonNode value = args.get(place);
    return value.isNull() ? null : value.asText();
  }

  private static BigDecimal number(JsonNode args, int place) {
    String text = text(args, place);
    return text == null ? null : new BigDecimal(text);
  }

  private static LocalDateTime moment(JsonNode args, int place) {
    String text = text(args, place);
    if (text == null) {
      return null;
    }
    if (text.length() == 10) {
      return LocalDate.parse(text).atStartOfDay();
    }
    String iso = text.replace(' ', 'T');
    return iso.substring(10).matches(".*[+Z-].*")
        ? OffsetDateTime.parse(iso).withOffsetSameInstant(ZoneOffset.UTC).toLocalDateTime()
        : LocalDateTime.parse(iso);
  }
}
