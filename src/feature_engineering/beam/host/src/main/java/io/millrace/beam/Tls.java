package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.Collection;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;

/** What the configuration says of TLS, all of it as PEM: authorities, a certificate with its key, and whether to verify. */
final class Tls {
  private static final char[] NONE = new char[0];

  private Tls() {}

  static boolean verifies(JsonNode tls) {
    return tls.path("verify").asBoolean(true);
  }

  static SSLContext contextOf(JsonNode tls) {
    try {
      SSLContext context = SSLContext.getInstance("TLS");
      context.init(keysOf(tls), trustOf(tls), null);
      return context;
    } catch (GeneralSecurityException | IOException error) {
      throw new IllegalStateException("The certificates or the key for TLS cannot be read as PEM: " + error.getClass().getSimpleName(), error);
    }
  }

  private static TrustManager[] trustOf(JsonNode tls) throws GeneralSecurityException, IOException {
    if (!verifies(tls)) return new TrustManager[] {new Trusting()};
    KeyStore store = null;
    if (tls.hasNonNull("ca")) {
      store = empty();
      int count = 0;
      for (Certificate one : certificates(tls.get("ca").asText())) store.setCertificateEntry("ca" + count++, one);
    }
    TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    factory.init(store);
    return factory.getTrustManagers();
  }

  private static KeyManager[] keysOf(JsonNode tls) throws GeneralSecurityException, IOException {
    if (!tls.hasNonNull("cert") || !tls.hasNonNull("key")) return null;
    String pem = tls.get("key").asText();
    if (!pem.contains("BEGIN PRIVATE KEY")) {
      throw new IllegalStateException("The key for TLS must be PKCS#8, which begins with BEGIN PRIVATE KEY: openssl pkcs8 -topk8 -nodes converts it.");
    }
    byte[] der = Base64.getMimeDecoder().decode(pem.replaceAll("-----[A-Z ]+-----", ""));
    KeyStore store = empty();
    Certificate[] chain = certificates(tls.get("cert").asText()).toArray(Certificate[]::new);
    String algorithm = chain[0].getPublicKey().getAlgorithm();
    PrivateKey key = KeyFactory.getInstance(algorithm).generatePrivate(new PKCS8EncodedKeySpec(der));
    store.setKeyEntry("key", key, NONE, chain);
    KeyManagerFactory factory = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    factory.init(store, NONE);
    return factory.getKeyManagers();
  }

  private static KeyStore empty() throws GeneralSecurityException, IOException {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    return store;
  }

  private static Collection<? extends Certificate> certificates(String pem) throws GeneralSecurityException {
    byte[] bytes = pem.getBytes(StandardCharsets.US_ASCII);
    return CertificateFactory.getInstance("X.509").generateCertificates(new ByteArrayInputStream(bytes));
  }

  /** Where the configuration says not to verify. */
  private static final class Trusting implements X509TrustManager {
    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type) {}

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type) {}

    @Override
    public X509Certificate[] getAcceptedIssuers() {
      return new X509Certificate[0];
    }
  }
}
