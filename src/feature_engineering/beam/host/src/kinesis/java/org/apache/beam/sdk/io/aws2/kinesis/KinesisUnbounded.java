package org.apache.beam.sdk.io.aws2.kinesis;

import org.apache.beam.sdk.io.UnboundedSource;

/** Beam keeps the source of its reads of Kinesis to its package. */
public final class KinesisUnbounded {
  private KinesisUnbounded() {}

  public static UnboundedSource<KinesisRecord, KinesisReaderCheckpoint> of(KinesisIO.Read read) {
    return new KinesisSource(read);
  }
}
