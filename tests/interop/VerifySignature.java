import java.io.ByteArrayInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.PublicKey;
import java.security.cert.CertificateFactory;
import java.util.HashMap;
import java.util.Map;
import javax.xml.crypto.KeySelector;
import javax.xml.crypto.OctetStreamData;
import javax.xml.crypto.URIDereferencer;
import javax.xml.crypto.dsig.XMLSignatureFactory;
import javax.xml.crypto.dsig.dom.DOMValidateContext;
import javax.xml.parsers.DocumentBuilderFactory;
import org.w3c.dom.Document;
import org.w3c.dom.NodeList;

/**
 * The JDK's own judgement of an ebMS signature: java VerifySignature.java CERTIFICATE.der ENVELOPE [CONTENT-ID FILE]...
 * prints "valid", or "invalid".
 */
public class VerifySignature {
    public static void main(String[] arguments) throws Exception {
        PublicKey key = CertificateFactory.getInstance("X.509")
                .generateCertificate(new ByteArrayInputStream(Files.readAllBytes(Path.of(arguments[0]))))
                .getPublicKey();
        DocumentBuilderFactory builders = DocumentBuilderFactory.newInstance();
        builders.setNamespaceAware(true);
        Document envelope = builders.newDocumentBuilder()
                .parse(new ByteArrayInputStream(Files.readAllBytes(Path.of(arguments[1]))));
        Map<String, byte[]> payloads = new HashMap<>();
        for (int at = 2; at < arguments.length; at += 2) {
            payloads.put("cid:" + arguments[at], Files.readAllBytes(Path.of(arguments[at + 1])));
        }
        NodeList found = envelope.getElementsByTagNameNS("http://www.w3.org/2000/09/xmldsig#", "Signature");
        DOMValidateContext context = new DOMValidateContext(KeySelector.singletonKeySelector(key), found.item(0));
        XMLSignatureFactory signatures = XMLSignatureFactory.getInstance("DOM");
        URIDereferencer standard = signatures.getURIDereferencer();
        // The secure mode of the JDK takes no URI that is not in the document; here all of them are given.
        context.setProperty("org.jcp.xml.dsig.secureValidation", Boolean.FALSE);
        context.setURIDereferencer((reference, of) -> payloads.containsKey(reference.getURI())
                ? new OctetStreamData(new ByteArrayInputStream(payloads.get(reference.getURI())))
                : standard.dereference(reference, of));
        boolean valid = signatures.unmarshalXMLSignature(context).validate(context);
        System.out.println(valid ? "valid" : "invalid");
    }
}
