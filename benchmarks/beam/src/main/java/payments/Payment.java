package payments;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.time.Instant;

/** A payment, as its JSON has it. */
record Payment(String id, String card, String merchant, String device, double amount, String country, long at) {
  private static final JsonFactory JSON = new JsonFactory();

  static Payment parse(String line) throws IOException {
    String id = null, card = null, merchant = null, device = null, country = null, at = null;
    double amount = Double.NaN;
    try (JsonParser parser = JSON.createParser(line)) {
      parser.nextToken();
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String name = parser.currentName();
        JsonToken token = parser.nextToken();
        switch (name) {
          case "payment_id" -> id = parser.getText();
          case "card_id" -> card = parser.getText();
          case "merchant_id" -> merchant = parser.getText();
          case "device_id" -> device = parser.getText();
          case "amount" -> amount = token.isNumeric() ? parser.getDoubleValue() : Double.NaN;
          case "country" -> country = parser.getText();
          case "at" -> at = parser.getText();
          default -> parser.skipChildren();
        }
      }
    }
    if (id == null || card == null || merchant == null || device == null || country == null || at == null || !Double.isFinite(amount))
      throw new IOException("A field is missing or wrong.");
    return new Payment(id, card, merchant, device, amount, country, Instant.parse(at).toEpochMilli());
  }
}
